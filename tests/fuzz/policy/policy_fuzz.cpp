// Any document parses or is refused; what parses answers every question, and never for an anonymous
// principal.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/security/rbac.hpp"

using skerry::security::Policy;
using skerry::security::Principal;
using skerry::security::Verb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto policy = Policy::parse({reinterpret_cast<const char*>(data), size});
  if (!policy) {
    return 0;
  }
  for (const Verb verb : skerry::security::all_verbs()) {
    if (policy->decide(Principal{}, verb, {"acme/log-triage", "q4_k_m"}).allowed) {
      std::abort();
    }
    const auto decision =
        policy->decide(Principal::local(1000, {990}), verb, {"acme/log-triage", "q4_k_m"});
    if (decision.allowed == decision.rule.empty()) {
      // Denied by default has no rule; everything else names one.
      if (decision.allowed) {
        std::abort();
      }
    }
  }
  return 0;
}
