// Any table parses or is refused; what parses is within its limits and gets one answer per row, and
// the answers are those of the policy.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/security/policy_expectations.hpp"

using skerry::security::ExpectationLimits;
using skerry::security::Policy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Policy policy = [] {
    auto parsed =
        Policy::parse(R"({"format":"skerry-policy/1","version":1,"roles":[{"name":"app","rules":[)"
                      R"({"verbs":["infer"],"models":["acme/*"]}]}],"bindings":[)"
                      R"({"name":"b","role":"app","subjects":["uid:1000","group:ops"]}]})");
    return parsed ? *parsed : Policy{};
  }();
  const auto table = skerry::security::parse_expectations(
      {reinterpret_cast<const char*>(data), size}, "table.toml");
  if (!table) {
    return 0;
  }
  if (table->empty() || table->size() > ExpectationLimits::kRows) {
    std::abort();
  }
  const auto results = skerry::security::check_expectations(policy, *table);
  if (results.size() != table->size()) {
    std::abort();
  }
  for (const auto& result : results) {
    // A row is met or says what is wrong, never both.
    if (result.met != result.miss.empty() ||
        (result.met && result.expected.allowed != result.decision.allowed)) {
      std::abort();
    }
  }
  return 0;
}
