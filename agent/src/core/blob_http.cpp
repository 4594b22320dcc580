#include "skerry/agent/blob_http.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace skerry::agent {
namespace {

constexpr std::string_view kBlobFolder = "/sha256/";
constexpr std::string_view kByteUnit = "bytes=";

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

bool take_number(std::string_view& text, std::uint64_t& out) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc{} || end == text.data()) {
    return false;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take_text(std::string_view& text, std::string_view wanted) {
  if (!text.starts_with(wanted)) {
    return false;
  }
  text.remove_prefix(wanted.size());
  return true;
}

}  // namespace

Result<Digest> parse_blob_path(std::string_view target) {
  const Error bad{Error::Code::kParse, "only /sha256/<2 hex>/<64 hex> is served"};
  if (!target.starts_with(kBlobFolder)) {
    return bad;
  }
  target.remove_prefix(kBlobFolder.size());
  if (target.size() != 3 + 64 || target[2] != '/' || target.substr(0, 2) != target.substr(3, 2)) {
    return bad;
  }
  auto digest = Digest::from_hex(target.substr(3));
  // One name for one blob: capitals are another text.
  return digest && digest->hex() == target.substr(3) ? digest : bad;
}

Result<ByteSpan> parse_byte_range(std::string_view value, std::uint64_t size) {
  const Error bad{Error::Code::kParse,
                  "one range \"bytes=<first>-<last>\" within the blob is served"};
  const auto dash = value.find('-');
  if (!value.starts_with(kByteUnit) || dash == std::string_view::npos) {
    return bad;
  }
  const auto first = whole_number(value.substr(kByteUnit.size(), dash - kByteUnit.size()));
  const auto last = whole_number(value.substr(dash + 1));
  if (!first || !last || *last < *first || *first >= size) {
    return bad;
  }
  return ByteSpan{*first, std::min(*last, size - 1)};
}

Result<ByteSpan> parse_content_range(std::string_view value) {
  const Error bad{Error::Code::kParse, "a Content-Range that is none"};
  ByteSpan range;
  std::string_view rest = value;
  if (!take_text(rest, "bytes ") || !take_number(rest, range.first) || !take_text(rest, "-") ||
      !take_number(rest, range.last) || !take_text(rest, "/") || range.last < range.first) {
    return bad;
  }
  std::uint64_t total = 0;
  if (rest != "*" && (!take_number(rest, total) || !rest.empty() || total <= range.last)) {
    return bad;
  }
  return range;
}

}  // namespace skerry::agent
