#pragma once

// The bytes of every token of a model, in their order, so that all tokens that may come next are
// found in one walk that shares beginnings. Read once for a model; kept by the scheduler for the
// constraints of its sequences.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/step_engine.hpp"

namespace skerry::runtime {

class Vocabulary {
 public:
  // `shown`: control tokens that count as text, with it.
  static Result<std::shared_ptr<const Vocabulary>> read(
      StepEngine& engine,
      std::uint32_t size,
      const std::map<std::int32_t, std::string>& shown = {});

  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] bool is_end(std::int32_t token) const {
    return ends_[static_cast<std::size_t>(token)] != 0;
  }
  // Empty for control tokens.
  [[nodiscard]] std::string_view bytes(std::int32_t token) const {
    const auto at = static_cast<std::size_t>(token);
    return std::string_view{text_}.substr(begins_[at], begins_[at + 1] - begins_[at]);
  }
  // Tokens with bytes, sorted by them, each with how many it shares with the one before it.
  struct Entry {
    std::int32_t token = 0;
    std::uint32_t shared = 0;
  };
  [[nodiscard]] const std::vector<Entry>& sorted() const { return sorted_; }
  [[nodiscard]] std::size_t longest() const { return longest_; }

 private:
  std::string text_;
  std::vector<std::uint32_t> begins_;
  std::vector<std::uint8_t> ends_;
  std::vector<Entry> sorted_;
  std::size_t longest_ = 0;
};

}  // namespace skerry::runtime
