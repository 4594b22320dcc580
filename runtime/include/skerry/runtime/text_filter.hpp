#pragma once

// Turns the bytes of sampled tokens into text that may be shown: whole code points only, and
// nothing that is, or may become, a stop string. One per generating sequence.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::runtime {

// Replaces what is not UTF-8 by U+FFFD, one for each maximal ill-formed part (Unicode 15, 3.9).
std::string to_valid_utf8(std::string_view bytes);

class TextFilter {
 public:
  explicit TextFilter(std::vector<std::string> stop) : stop_(std::move(stop)) {}

  // Returns the text that is now certain. After a stop string was found: nothing.
  std::string push(std::string_view bytes);
  // Returns what was held back, at the end of generation; an incomplete code point becomes U+FFFD.
  std::string finish();

  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  // The stop string that was found.
  [[nodiscard]] const std::string& match() const noexcept { return match_; }

 private:
  std::vector<std::string> stop_;
  std::string partial_;  // bytes of an unfinished code point
  std::string held_;     // valid text that may be the beginning of a stop string
  std::string match_;
  bool stopped_ = false;
};

}  // namespace skerry::runtime
