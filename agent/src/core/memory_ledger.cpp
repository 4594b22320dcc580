#include "skerry/agent/memory_ledger.hpp"

#include <algorithm>
#include <cmath>

namespace skerry::agent {
namespace {

// Seconds of waiting that its absence is expected to cost, per byte that comes free.
double price(const MemoryHolder& holder) {
  const double wait = std::chrono::duration<double>(holder.reload).count() * holder.uses;
  return wait / static_cast<double>(std::max<std::uint64_t>(holder.bytes, 1));
}

}  // namespace

void UseRate::used(BootTime now) {
  count_ = at(now) + 1;
  last_ = now;
}

double UseRate::at(BootTime now) const {
  const std::chrono::duration<double, std::chrono::hours::period> since = now - last_;
  return count_ * std::exp2(-since.count() / static_cast<double>(kHalfLife.count()));
}

std::vector<std::size_t> choose_leaving(const std::vector<MemoryHolder>& holders,
                                        std::uint64_t wanted) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < holders.size(); ++i) {
    if (holders[i].may_leave && holders[i].bytes > 0) {
      order.push_back(i);
    }
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double first = price(holders[a]);
    const double second = price(holders[b]);
    return first != second ? first < second : holders[a].last_used < holders[b].last_used;
  });
  std::vector<std::size_t> leaving;
  std::uint64_t freed = 0;
  for (const std::size_t i : order) {
    if (freed >= wanted) {
      break;
    }
    leaving.push_back(i);
    freed += holders[i].bytes;
  }
  if (freed < wanted) {
    return {};
  }
  // A large one that came last may have made others needless; the dearest of them stay.
  std::vector<std::size_t> needed;
  for (auto it = leaving.rbegin(); it != leaving.rend(); ++it) {
    if (freed - holders[*it].bytes >= wanted) {
      freed -= holders[*it].bytes;
    } else {
      needed.push_back(*it);
    }
  }
  std::reverse(needed.begin(), needed.end());
  return needed;
}

}  // namespace skerry::agent
