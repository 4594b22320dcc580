// The values that TOML has no form for: durations, byte sizes; and the name that was meant.

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "skerry/common/toml_reader.hpp"

namespace skerry {
namespace {

constexpr std::int64_t kMaxMilliseconds = std::int64_t{100} * 366 * 24 * 3600 * 1000;

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array kDurations{
    Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000}, Unit{"d", 86'400'000}};
constexpr std::array kSizes{Unit{"", 1},
                            Unit{"B", 1},
                            Unit{"KiB", 1LL << 10},
                            Unit{"MiB", 1LL << 20},
                            Unit{"GiB", 1LL << 30},
                            Unit{"TiB", 1LL << 40},
                            Unit{"KB", 1'000},
                            Unit{"MB", 1'000'000},
                            Unit{"GB", 1'000'000'000},
                            Unit{"TB", 1'000'000'000'000}};

// The number and unit of "64 MiB" multiplied out; nothing if it is malformed or above `limit`.
template <std::size_t N>
std::optional<std::int64_t> with_unit(std::string_view text,
                                      const std::array<Unit, N>& units,
                                      std::int64_t limit) {
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, number);
  if (ec != std::errc{} || number < 0) {
    return std::nullopt;
  }
  std::string_view name{rest, static_cast<std::size_t>(end - rest)};
  if (name.starts_with(' ')) {
    name.remove_prefix(1);
  }
  for (const Unit& unit : units) {
    if (unit.name == name) {
      return number <= limit / unit.factor ? std::optional{number * unit.factor} : std::nullopt;
    }
  }
  return std::nullopt;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (const auto value = with_unit(text, kDurations, kMaxMilliseconds)) {
    return std::chrono::milliseconds{*value};
  }
  return Error{Error::Code::kParse,
               "\"" + std::string{text} +
                   "\" is not a duration: write a whole number and a unit, as in \"500ms\", "
                   "\"30s\", \"10m\", \"12h\" or \"7d\""};
}

Result<ByteSize> parse_byte_size(std::string_view text) {
  if (const auto value = with_unit(text, kSizes, std::numeric_limits<std::int64_t>::max())) {
    return ByteSize{static_cast<std::uint64_t>(*value)};
  }
  return Error{Error::Code::kParse,
               "\"" + std::string{text} +
                   "\" is not a size: write a whole number and a unit, as in \"512KiB\", "
                   "\"64MiB\" or \"10GB\""};
}

std::string_view nearest_name(std::string_view word, const std::vector<std::string>& known) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1;
  if (word.size() > 128) {
    return best;
  }
  for (const std::string& name : known) {
    if (const std::size_t distance = edit_distance(word, name); distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace skerry
