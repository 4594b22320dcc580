#pragma once

// Waits for the text with which an answer's grammar begins: an answer that may call a tool is free
// until it does. What a model thinks before it answers does not begin it. ADR 0112.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::runtime {

// Where an answer is to the thoughts between <think> and </think>.
enum class Thoughts : std::uint8_t { kNone, kMayBegin, kWithin };

class GrammarTrigger {
 public:
  // The grammar begins with the first of `anywhere`, or with one of `at_start` if that is the
  // answer's first text that is not white space, thoughts aside. None is empty.
  GrammarTrigger(std::vector<std::string> anywhere,
                 std::vector<std::string> at_start,
                 Thoughts thoughts = Thoughts::kNone);

  // What the grammar has to take if `piece` comes next: the beginning and what follows it. None:
  // the answer stays free.
  [[nodiscard]] std::optional<std::string> pulled_by(std::string_view piece) const;
  // `piece` came, and the answer stays free.
  void passed(std::string_view piece);

 private:
  std::vector<std::string> anywhere_;
  std::vector<std::string> at_start_;
  std::size_t longest_ = 0;
  std::string tail_;
  Thoughts thoughts_;
  bool blank_ = true;  // nothing but white space so far, thoughts aside
};

}  // namespace skerry::runtime
