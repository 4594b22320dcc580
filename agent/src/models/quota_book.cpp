#include "skerry/agent/quota_book.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace skerry::agent {
namespace {

constexpr double kMinute = 60;
// A request that waits for another's end: nobody knows when.
constexpr std::int64_t kUnknownWait = 1;
constexpr std::string_view kAgain = "; try again in ";
constexpr std::chrono::seconds kSweep{60};

Error over_quota(const security::Decision& decision, const std::string& what, double seconds) {
  const auto wait = std::max(static_cast<std::int64_t>(std::ceil(seconds)), kUnknownWait);
  return Error{Error::Code::kResourceExhausted,
               decision.principal + " has used the quota of role " + decision.role + ": " + what +
                   std::string{kAgain} + std::to_string(wait) + " s"};
}

}  // namespace

void QuotaBook::fill(Account& account, BootTime now) {
  const double minutes = std::chrono::duration<double>(now - account.filled).count() / kMinute;
  const auto refill = [minutes](double left, std::uint64_t limit) {
    const auto most = static_cast<double>(limit);
    return std::min(most, left + minutes * most);
  };
  account.requests = refill(account.requests, account.quota.requests_per_minute);
  account.tokens = refill(account.tokens, account.quota.tokens_per_minute);
  account.filled = now;
}

Result<void> QuotaBook::admit(const security::Decision& decision, BootTime now) {
  const security::PolicyQuota& quota = decision.quota;
  if (quota.empty()) {
    return {};
  }
  forget_rested(now);
  const auto [found, fresh] = accounts_.try_emplace(Key{decision.principal, decision.role});
  Account& account = found->second;
  if (fresh) {
    account.requests = static_cast<double>(quota.requests_per_minute);
    account.tokens = static_cast<double>(quota.tokens_per_minute);
    account.filled = now;
  }
  account.quota = quota;  // a newer policy may say otherwise
  fill(account, now);
  if (quota.concurrent > 0 && account.running >= quota.concurrent) {
    return over_quota(decision,
                      std::to_string(quota.concurrent) + " requests at a time",
                      static_cast<double>(kUnknownWait));
  }
  if (quota.requests_per_minute > 0 && account.requests < 1) {
    const auto rate = static_cast<double>(quota.requests_per_minute);
    return over_quota(decision,
                      std::to_string(quota.requests_per_minute) + " requests a minute",
                      (1 - account.requests) * kMinute / rate);
  }
  if (quota.tokens_per_minute > 0 && account.tokens <= 0) {
    const auto rate = static_cast<double>(quota.tokens_per_minute);
    return over_quota(decision,
                      std::to_string(quota.tokens_per_minute) + " tokens a minute",
                      (1 - account.tokens) * kMinute / rate);
  }
  account.requests -= quota.requests_per_minute > 0 ? 1 : 0;
  ++account.running;
  return {};
}

void QuotaBook::finish(const security::Decision& decision, std::uint64_t tokens, BootTime now) {
  const auto found = accounts_.find(Key{decision.principal, decision.role});
  if (decision.quota.empty() || found == accounts_.end()) {
    return;
  }
  Account& account = found->second;
  fill(account, now);
  account.tokens -= account.quota.tokens_per_minute > 0 ? static_cast<double>(tokens) : 0;
  account.running -= std::min(account.running, 1U);
}

// Who is at rest with full buckets is as one who was never seen.
void QuotaBook::forget_rested(BootTime now) {
  if (now - swept_ < kSweep) {
    return;
  }
  swept_ = now;
  std::erase_if(accounts_, [now](const auto& item) {
    Account account = item.second;
    fill(account, now);
    return account.running == 0 &&
           account.requests >= static_cast<double>(account.quota.requests_per_minute) &&
           account.tokens >= static_cast<double>(account.quota.tokens_per_minute);
  });
}

std::optional<std::chrono::seconds> quota_wait(const Error& error) {
  const std::string_view text = error.message();
  const std::size_t at = text.rfind(kAgain);
  if (error.code() != Error::Code::kResourceExhausted || at == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view number = text.substr(at + kAgain.size());
  std::int64_t seconds = 0;
  const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), seconds);
  if (ec != std::errc{} || std::string_view{end, number.data() + number.size()} != " s") {
    return std::nullopt;
  }
  return std::chrono::seconds{seconds};
}

}  // namespace skerry::agent
