#pragma once

// Reads one JSON object of a signed document strictly: each member by its name and type, and none
// that nobody asked for. The first thing wrong is kept and told with its path.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

class StrictObject {
 public:
  // `value` outlives the reader. `path` is where it stands: "entries[2]", empty at the top.
  StrictObject(const Json& value, std::string path, Error::Code code);

  [[nodiscard]] bool has(std::string_view key) const;
  // Text of 1 to `most` bytes without control characters; empty if it is absent and not required.
  std::string text(std::string_view key, std::size_t most, bool required = true);
  std::int64_t number(std::string_view key,
                      std::int64_t least,
                      std::int64_t most,
                      bool required = true);
  // Each of 1 to `longest` bytes; empty if it is absent and not required.
  std::vector<std::string> texts(std::string_view key,
                                 std::size_t most,
                                 std::size_t longest,
                                 bool required = true);
  // At most `most` elements; an empty one if it is not there.
  const Json::Array& array(std::string_view key, std::size_t most);

  void fail(std::string_view key, std::string_view message);
  [[nodiscard]] bool failed() const { return error_.has_value(); }
  // Also refuses members that were not asked for.
  Result<void> finish();

 private:
  const Json* find(std::string_view key, bool required);
  [[nodiscard]] std::string where(std::string_view key) const;

  const Json& value_;
  std::string path_;
  Error::Code code_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

}  // namespace skerry::security
