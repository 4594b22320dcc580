#include "suspects.hpp"

#include <algorithm>

namespace skerry::runtime {

void Suspects::on_death(BootTime now, const std::vector<Digest>& begun) {
  std::erase_if(known_, [now](const auto& entry) { return entry.second.until <= now; });
  for (const Digest& content : begun) {
    Record& record = known_[content];
    record.deaths += begun.size() == 1 ? kCulprit : 1;
    record.until = now + kRefused;
  }
  while (known_.size() > kMost) {
    forget_oldest();
  }
}

std::chrono::nanoseconds Suspects::refused_for(BootTime now, const Digest& content) const {
  const auto found = known_.find(content);
  if (found == known_.end() || found->second.deaths < kCulprit) {
    return std::chrono::nanoseconds{0};
  }
  return std::max<std::chrono::nanoseconds>(found->second.until - now, std::chrono::nanoseconds{0});
}

void Suspects::forget_oldest() {
  known_.erase(std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) {
    return a.second.until < b.second.until;
  }));
}

}  // namespace skerry::runtime
