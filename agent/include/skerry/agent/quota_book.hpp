#pragma once

// Holds principals to the quotas of the roles by which the policy lets them infer: requests and
// tokens a minute (token buckets that hold a minute's worth) and requests at a time. The inference
// service asks it before a model is loaded. Sans-I/O; used on the control thread.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::agent {

class QuotaBook {
 public:
  // Counts a request against the quota of the decision's role. kResourceExhausted says which limit,
  // and when to come again. What was admitted must be `finish`ed, unless the quota is empty.
  Result<void> admit(const security::Decision& decision, BootTime now);
  // The request is over and took so many tokens. They may go below what was left: the debt is
  // worked off before the next request.
  void finish(const security::Decision& decision, std::uint64_t tokens, BootTime now);

  // Principals that are remembered; those that are at rest with full buckets are not.
  [[nodiscard]] std::size_t size() const { return accounts_.size(); }

 private:
  struct Account {
    security::PolicyQuota quota;
    double requests = 0;  // left in the bucket
    double tokens = 0;
    std::uint32_t running = 0;
    BootTime filled{0};
  };
  using Key = std::pair<std::string, std::string>;  // principal, role

  static void fill(Account& account, BootTime now);
  void forget_rested(BootTime now);

  std::map<Key, Account> accounts_;
  BootTime swept_{0};
};

// How long to wait, of an error that `admit` gave; nothing of any other.
std::optional<std::chrono::seconds> quota_wait(const Error& error);

}  // namespace skerry::agent
