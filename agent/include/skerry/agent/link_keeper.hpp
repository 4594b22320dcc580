#pragma once

// The byte budget of the link, kept on disk: `state_dir/link-budget.json`. Every byte of a blob
// that comes over the link is asked for here, by the transfer threads; what was spent survives any
// restart, because it is written down before it may be spent.

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "skerry/agent/core.hpp"
#include "skerry/agent/device_time.hpp"
#include "skerry/agent/link_book.hpp"
#include "skerry/registry/fetcher.hpp"

namespace skerry::agent {

// For status and metrics.
struct LinkState {
  bool metered = false;
  std::uint64_t day_bytes = 0;
  std::uint64_t day_limit = 0;
  std::uint64_t month_bytes = 0;
  std::uint64_t month_limit = 0;
  // Why nothing may come now; empty: it may.
  std::string held_back;
};

class LinkKeeper final : public registry::LinkBudget {
 public:
  // Reads what is stored. A damaged file is logged and begins anew.
  LinkKeeper(Core& core, const DeviceTime& time);

  Result<void> spend(std::uint64_t bytes) override;
  // Thread-safe, as `spend`; reads the settings of the moment.
  [[nodiscard]] LinkState state();
  // Writes down what was spent, exactly, in place of the step ahead. For a daemon that ends on its
  // own terms, once nothing is fetched any more: a restart costs no budget then. Blocks for the
  // disk.
  Result<void> close();

 private:
  [[nodiscard]] LinkRules rules() const;
  [[nodiscard]] bool metered() const;
  [[nodiscard]] LinkTime now() const;
  Result<void> write_ahead(const LinkRules& rules);
  Result<void> write(const LinkUse& use);

  Core& core_;
  const DeviceTime& time_;
  std::mutex mutex_;
  LinkBook book_;
  // What the file says; never less than what was spent.
  LinkUse written_;
};

}  // namespace skerry::agent
