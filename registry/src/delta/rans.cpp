#include "rans.hpp"

#include <algorithm>

namespace skerry::registry::delta {

Bytes RansWriter::finish() {
  Bytes out;
  out.reserve(4 * kLanes + 2 * words_.size());
  for (const std::uint32_t state : state_) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      out.push_back(static_cast<std::uint8_t>(state >> shift));
    }
  }
  for (auto word = words_.rbegin(); word != words_.rend(); ++word) {
    out.push_back(static_cast<std::uint8_t>(*word));
    out.push_back(static_cast<std::uint8_t>(*word >> 8U));
  }
  return out;
}

RansReader::RansReader(ByteView bytes) {
  if (bytes.size() < 4 * kLanes || bytes.size() % 2 != 0) {
    overrun_ = true;
    state_.fill(kStateFloor);
    return;
  }
  at_ = bytes.data();
  end_ = at_ + bytes.size();
  for (std::uint32_t& state : state_) {
    state = at_[0] | static_cast<std::uint32_t>(at_[1]) << 8U |
            static_cast<std::uint32_t>(at_[2]) << 16U | static_cast<std::uint32_t>(at_[3]) << 24U;
    overrun_ = overrun_ || state < kStateFloor;
    at_ += 4;
  }
}

bool RansReader::ended_well() const {
  return !overrun_ && at_ == end_ &&
         std::all_of(state_.begin(), state_.end(), [](auto state) { return state == kStateFloor; });
}

}  // namespace skerry::registry::delta
