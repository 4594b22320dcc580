#pragma once

// Operations on texts that keep track of given bytes, and on their code points.

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "value.hpp"

namespace skerry::runtime::jinja {

// As std::string_view::find, in time that grows with the text alone however long `what` is.
std::size_t find_text(std::string_view bytes, std::string_view what, std::size_t from = 0);
// Where the code point after the one at `at` begins.
std::size_t next_point(std::string_view bytes, std::size_t at);
std::size_t count_points(std::string_view bytes);
// The byte at which code point `index` begins; the size if there are fewer.
std::size_t byte_of_point(std::string_view bytes, std::size_t index);
// Python's idea of white space.
bool is_space_at(std::string_view bytes, std::size_t at, std::size_t& length);

// `chars`: code points to take away instead of white space.
ChatText strip(const ChatText& text, bool left, bool right, std::optional<std::string_view> chars);
// nullopt separator: runs of white space. `most` < 0: as many as there are; `from_right` counts
// them from the end.
List split(Budget& budget,
           const ChatText& text,
           std::optional<std::string_view> separator,
           std::int64_t most,
           bool from_right = false);
ChatText replace(Budget& budget,
                 const ChatText& text,
                 const ChatText& from,
                 const ChatText& to,
                 std::int64_t most);
ChatText join(Budget& budget, const List& list, const ChatText& separator);
ChatText repeat(Budget& budget, const ChatText& text, std::int64_t times);
ChatText indent(Budget& budget, const ChatText& text, std::size_t width, bool first, bool blank);
// Changes ASCII letters, none else: their number of bytes stays.
ChatText upper(ChatText text);
ChatText lower(ChatText text);
ChatText capitalize(ChatText text);
ChatText title(ChatText text);

}  // namespace skerry::runtime::jinja
