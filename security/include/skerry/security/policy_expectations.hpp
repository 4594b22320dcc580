#pragma once

// A table of what a policy is meant to say, run against the document before anybody signs it: one
// row per question, with the answer and, if wanted, the rule that must give it. Used by `skerry
// policy test --expect` and `skerry policy publish`. Format: docs/formats/policy-expectations.md.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::security {

// Limits of a table; more is kParse. The file is at most 1 MiB (TomlReader).
struct ExpectationLimits {
  static constexpr std::size_t kRows = 10'000;
  static constexpr std::size_t kGroups = 64;
  static constexpr std::size_t kText = 256;
};

struct PolicyExpectation {
  // "table.toml:12": where the row begins.
  std::string where;
  std::string note;
  Principal principal;
  Verb verb = Verb::kInfer;
  Resource resource;
  bool allowed = false;
  // The rule that must decide; "none": no rule does (denied by default). Absent: any.
  std::optional<std::string> rule;

  // "uid:1000 infer acme/log-triage@q4_k_m"
  [[nodiscard]] std::string question() const;
};

struct ExpectationResult {
  PolicyExpectation expected;
  Decision decision;
  bool met = false;
  // What differs; empty if met.
  std::string miss;
};

// kParse names file and line of the first thing wrong. `name` is what messages call the file.
Result<std::vector<PolicyExpectation>> parse_expectations(std::string_view text, std::string name);

// One result per row, in order. Pure.
std::vector<ExpectationResult> check_expectations(const Policy& policy,
                                                  const std::vector<PolicyExpectation>& table);

// {"rows": n, "missed": n, "results": [{where, question, expected, allowed, met, …}]}
Json to_json(const std::vector<ExpectationResult>& results);

}  // namespace skerry::security
