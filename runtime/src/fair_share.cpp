#include "fair_share.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

constexpr std::size_t kMostRemembered = 1024;

}  // namespace

double FairShare::virtual_now() const {
  if (accounts_.empty()) {
    return last_now_;
  }
  const auto least =
      std::min_element(accounts_.begin(), accounts_.end(), [](const auto& a, const auto& b) {
        return a.second.served < b.second.served;
      });
  return std::max(last_now_, least->second.served);
}

void FairShare::enter(const std::string& principal) {
  const auto found = accounts_.find(principal);
  if (found != accounts_.end()) {
    ++found->second.requests;
    return;
  }
  Account account;
  account.requests = 1;
  account.served = virtual_now();
  if (const auto debt = ahead_.find(principal); debt != ahead_.end()) {
    account.served = std::max(account.served, debt->second);
    ahead_.erase(debt);
  }
  accounts_.emplace(principal, account);
}

void FairShare::leave(const std::string& principal) {
  const auto found = accounts_.find(principal);
  if (found == accounts_.end() || --found->second.requests > 0) {
    return;
  }
  const double served = found->second.served;
  last_now_ = virtual_now();
  accounts_.erase(found);
  last_now_ = virtual_now();
  // Once everybody has caught up a debt means nothing.
  std::erase_if(ahead_, [this](const auto& item) { return item.second <= last_now_; });
  if (served > last_now_ && ahead_.size() < kMostRemembered) {
    ahead_[principal] = served;
  }
}

void FairShare::start(const std::string& principal) {
  if (const auto found = accounts_.find(principal); found != accounts_.end()) {
    ++found->second.running;
  }
}

void FairShare::stop(const std::string& principal) {
  if (const auto found = accounts_.find(principal);
      found != accounts_.end() && found->second.running > 0) {
    --found->second.running;
  }
}

void FairShare::charge(const std::string& principal, std::size_t generated, std::size_t prompt) {
  if (const auto found = accounts_.find(principal); found != accounts_.end()) {
    found->second.served +=
        kGenerated * static_cast<double>(generated) + static_cast<double>(prompt);
  }
}

double FairShare::served(const std::string& principal) const {
  const auto found = accounts_.find(principal);
  return found == accounts_.end() ? 0 : found->second.served;
}

std::size_t FairShare::running(const std::string& principal) const {
  const auto found = accounts_.find(principal);
  return found == accounts_.end() ? 0 : found->second.running;
}

}  // namespace skerry::runtime
