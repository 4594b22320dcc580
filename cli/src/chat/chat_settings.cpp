#include "skerry/cli/chat_settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace skerry::cli {
namespace {

struct RealSetting {
  std::string_view name;
  std::optional<float> ChatSettings::*field;
  float least;
  float most;
};

struct WholeSetting {
  std::string_view name;
  std::optional<std::uint64_t> ChatSettings::*field;
  std::uint64_t most;
};

constexpr std::array kReals{
    RealSetting{"temperature", &ChatSettings::temperature, 0, 10},
    RealSetting{"top_p", &ChatSettings::top_p, 0, 1},
    RealSetting{"min_p", &ChatSettings::min_p, 0, 1},
    RealSetting{"repeat_penalty", &ChatSettings::repeat_penalty, 0, 10},
    RealSetting{"frequency_penalty", &ChatSettings::frequency_penalty, -2, 2},
    RealSetting{"presence_penalty", &ChatSettings::presence_penalty, -2, 2}};

constexpr std::array kWholes{
    WholeSetting{"top_k", &ChatSettings::top_k, std::numeric_limits<std::uint32_t>::max()},
    // Larger ones could not be kept in JSON.
    WholeSetting{"seed",
                 &ChatSettings::seed,
                 static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())},
    WholeSetting{
        "max_tokens", &ChatSettings::max_tokens, std::numeric_limits<std::uint32_t>::max()}};

constexpr std::size_t kMostStops = 16;
constexpr std::size_t kLongestStop = 256;

// What from_chars makes of the whole text.
template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

Error wrong(std::string_view name, std::string_view value, const std::string& wanted) {
  return {Error::Code::kInvalidArgument,
          fmt::format("{} cannot be \"{}\": {}", name, value.substr(0, 40), wanted)};
}

Result<void> set_real(ChatSettings& settings, const RealSetting& setting, std::string_view value) {
  if (value.empty()) {
    settings.*setting.field = std::nullopt;
    return {};
  }
  const auto given = number<float>(value);
  if (!given || !std::isfinite(*given) || *given < setting.least || *given > setting.most) {
    return wrong(setting.name,
                 value,
                 fmt::format("a number from {} to {} is wanted", setting.least, setting.most));
  }
  settings.*setting.field = *given;
  return {};
}

Result<void> set_whole(ChatSettings& settings,
                       const WholeSetting& setting,
                       std::string_view value) {
  if (value.empty()) {
    settings.*setting.field = std::nullopt;
    return {};
  }
  const auto given = number<std::uint64_t>(value);
  if (!given || *given > setting.most) {
    return wrong(
        setting.name, value, fmt::format("a whole number up to {} is wanted", setting.most));
  }
  settings.*setting.field = *given;
  return {};
}

Result<void> add_stop(ChatSettings& settings, std::string_view value) {
  if (value.empty()) {
    settings.stop.clear();
    return {};
  }
  if (value.size() > kLongestStop || settings.stop.size() >= kMostStops) {
    return wrong(
        "stop",
        value,
        fmt::format("at most {} texts of at most {} bytes are wanted; \"/set stop\" forgets "
                    "them",
                    kMostStops,
                    kLongestStop));
  }
  settings.stop.emplace_back(value);
  return {};
}

template <class Table>
const typename Table::value_type* row_of(const Table& table, std::string_view name) {
  const auto* const found = std::find_if(
      table.begin(), table.end(), [name](const auto& row) { return row.name == name; });
  return found == table.end() ? nullptr : found;
}

// A setting as `set` takes it.
Result<std::string> text_of(const std::string& name, const Json& value) {
  if (const auto whole = value.as_int()) {
    return std::to_string(*whole);
  }
  if (const auto real = value.as_number()) {
    return fmt::format("{}", static_cast<float>(*real));
  }
  return Error{Error::Code::kParse, "settings." + name + ": a number is wanted"};
}

Result<void> read_stops(ChatSettings& settings, const Json& value) {
  const Json::Array* texts = value.array();
  if (texts == nullptr) {
    return Error{Error::Code::kParse, "settings.stop: an array of texts is wanted"};
  }
  for (const Json& text : *texts) {
    if (!text.is_string() || text.string()->empty()) {
      return Error{Error::Code::kParse, "settings.stop: an array of texts is wanted"};
    }
    if (auto added = add_stop(settings, *text.string()); !added) {
      return added;
    }
  }
  return {};
}

}  // namespace

Result<void> ChatSettings::set(std::string_view name, std::string_view value) {
  if (const RealSetting* real = row_of(kReals, name)) {
    return set_real(*this, *real, value);
  }
  if (const WholeSetting* whole = row_of(kWholes, name)) {
    return set_whole(*this, *whole, value);
  }
  if (name == "stop") {
    return add_stop(*this, value);
  }
  return Error{Error::Code::kInvalidArgument,
               fmt::format("there is no setting \"{}\"; there are {}",
                           name.substr(0, 40),
                           fmt::join(names(), ", "))};
}

std::vector<std::pair<std::string, std::string>> ChatSettings::list() const {
  std::vector<std::pair<std::string, std::string>> set;
  for (const RealSetting& real : kReals) {
    if (const auto& value = this->*real.field) {
      set.emplace_back(real.name, fmt::format("{}", *value));
    }
  }
  for (const WholeSetting& whole : kWholes) {
    if (const auto& value = this->*whole.field) {
      set.emplace_back(whole.name, std::to_string(*value));
    }
  }
  for (const std::string& text : stop) {
    set.emplace_back("stop", text);
  }
  return set;
}

std::vector<std::string> ChatSettings::names() {
  std::vector<std::string> all;
  all.reserve(kReals.size() + kWholes.size() + 1);
  for (const RealSetting& real : kReals) {
    all.emplace_back(real.name);
  }
  for (const WholeSetting& whole : kWholes) {
    all.emplace_back(whole.name);
  }
  all.emplace_back("stop");
  return all;
}

Json ChatSettings::to_json() const {
  Json::Object object;
  for (const RealSetting& real : kReals) {
    if (const auto& value = this->*real.field) {
      // By way of text: 0.2F is to be 0.2 and not 0.20000000298.
      object.emplace(real.name, number<double>(fmt::format("{}", *value)).value_or(0));
    }
  }
  for (const WholeSetting& whole : kWholes) {
    if (const auto& value = this->*whole.field) {
      object.emplace(whole.name, *value);
    }
  }
  if (!stop.empty()) {
    object.emplace("stop", Json::Array(stop.begin(), stop.end()));
  }
  return Json{std::move(object)};
}

Result<ChatSettings> ChatSettings::from_json(const Json& json) {
  ChatSettings settings;
  if (!json.is_object()) {
    return Error{Error::Code::kParse, "settings: an object is wanted"};
  }
  for (const auto& [name, value] : *json.object()) {
    if (name == "stop") {
      if (auto stops = read_stops(settings, value); !stops) {
        return stops.error();
      }
      continue;
    }
    const auto text = text_of(name, value);
    if (!text) {
      return text.error();
    }
    if (auto set = settings.set(name, *text); !set) {
      return set.error().with_context("settings");
    }
  }
  return settings;
}

}  // namespace skerry::cli
