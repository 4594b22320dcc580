#include "nonce_chain.hpp"

#include <utility>

namespace skerry::controller {
namespace {

// "The device holds none" as a nonce; the record's empty text means that no former one is good.
constexpr std::string_view kNoNonce = "none";

}  // namespace

NonceVerdict take_nonce(DeviceLifeRecord& life,
                        bool knows_nonces,
                        std::string_view shown,
                        std::string fresh) {
  if (!knows_nonces) {
    return life.nonce.empty() || life.nonce_reset ? NonceVerdict::kUnused : NonceVerdict::kMissing;
  }
  const std::string held{shown.empty() ? kNoNonce : shown};
  NonceVerdict verdict = NonceVerdict::kForked;
  if (life.nonce_reset || life.nonce.empty()) {
    verdict = NonceVerdict::kFirst;
  } else if (held == life.nonce) {
    verdict = NonceVerdict::kExpected;
  } else if (held == life.previous_nonce) {
    verdict = NonceVerdict::kRepeated;
  }
  life.nonce_reset = false;
  life.previous_nonce = held;
  life.nonce = std::move(fresh);
  return verdict;
}

bool confirm_nonce(DeviceLifeRecord& life, std::string_view stored) {
  if (life.nonce.empty() || life.nonce != stored) {
    return false;
  }
  life.previous_nonce.clear();
  return true;
}

std::string finding_of(NonceVerdict verdict) {
  switch (verdict) {
    case NonceVerdict::kForked:
      return "fork: it shows a nonce that was already answered with a newer one; two copies of its "
             "disk are in use, or an old copy was put back";
    case NonceVerdict::kMissing:
      return "it showed nonces before and shows none now; another program uses its identity, or an "
             "older agent was installed";
    default:
      return {};
  }
}

}  // namespace skerry::controller
