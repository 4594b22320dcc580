#pragma once

// How a model is asked to answer: what `skerry run --temperature …` and `/set temperature …` change
// and what a saved chat keeps. A value that was never set is left to the model and the daemon.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::cli {

struct ChatSettings {
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repeat_penalty;
  std::optional<float> frequency_penalty;
  std::optional<float> presence_penalty;
  std::optional<std::uint64_t> top_k;
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> max_tokens;
  std::vector<std::string> stop;

  // Sets `name` from text; an empty value goes back to the default. `stop` adds one more text.
  // kInvalidArgument names the setting, what was given and what is wanted.
  Result<void> set(std::string_view name, std::string_view value);
  // Those that are set, by name, as `set` takes them.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> list() const;
  // Every name that `set` takes.
  static std::vector<std::string> names();

  // An object with those that are set. kParse for a wrong kind, kInvalidArgument for an unknown
  // name or a value out of range.
  [[nodiscard]] Json to_json() const;
  static Result<ChatSettings> from_json(const Json& json);

  friend bool operator==(const ChatSettings&, const ChatSettings&) = default;
};

}  // namespace skerry::cli
