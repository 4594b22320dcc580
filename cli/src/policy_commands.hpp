#pragma once

// The parts of `skerry policy`, one file each, and how all of them read a policy and name who asks.

#include <string>
#include <vector>

#include "skerry/security/policy_expectations.hpp"
#include "skerry/security/rbac.hpp"

#include "command_line.hpp"
#include "invocation.hpp"

namespace skerry::cli {

// test: a policy file checked, asked a question, or held against a table of expectations.
void add_policy_test(Command& policy, Invocation& invocation);
// show, explain: a policy for people.
void add_policy_explain(Command& policy, Invocation& invocation);

// break-glass: root's way in when the policy locks everybody out.
void add_policy_break_glass(Command& policy, Invocation& invocation);

// publish: a policy as a signed target of the fleet.
void add_policy_publish(Command& policy, Invocation& invocation);

struct PolicyFile {
  std::string document;
  security::Policy policy;
};

// Errors name the file.
Result<PolicyFile> load_policy(Invocation& invocation, const std::string& file);

// "team/name" or "team/name@variant".
security::Resource parse_resource(const std::string& text);

// Runs the table in `file` against `policy`, prints what was missed (everything with `verbose`) or,
// with --json, one document. The number of misses.
Result<std::size_t> run_expectations(Invocation& invocation,
                                     const security::Policy& policy,
                                     const std::string& file,
                                     bool verbose);

}  // namespace skerry::cli
