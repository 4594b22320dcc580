// skerry policy publish: stages a policy as a signed target of the fleet, after holding it against
// what it is meant to say.

#include <fmt/format.h>

#include "skerry/common/id.hpp"
#include "skerry/security/signed_document.hpp"

#include "policy_commands.hpp"
#include "security_documents.hpp"

namespace skerry::cli {
namespace {

struct PolicyPublishOptions {
  DocumentOptions document;
  std::string file;
  std::string name = "default";
  std::string table;
};

Result<int> run_policy_publish(Invocation& invocation, const PolicyPublishOptions& options) {
  const auto loaded = load_policy(invocation, options.file);
  if (!loaded) {
    return loaded.error();
  }
  if (auto named = check_name(options.name, "--name"); !named) {
    return named.error();
  }
  auto documents = SecurityDocuments::open(invocation, options.document);
  if (!documents) {
    return documents.error();
  }
  if (!options.table.empty()) {
    const auto missed = run_expectations(invocation, loaded->policy, options.table, false);
    if (!missed) {
      return missed.error();
    }
    if (*missed > 0) {
      invocation.console.note("nothing was staged");
      return kExitNo;
    }
  }
  const std::string path = std::string{security::security_target::kPolicyPrefix} + options.name;
  const auto before = documents->current(path);
  if (!before) {
    return before.error();
  }
  if (*before) {
    const auto last = security::Policy::parse(**before);
    if (last && **before != loaded->document && loaded->policy.version() <= last->version()) {
      return Error{Error::Code::kRollback,
                   fmt::format("version {} does not follow version {}, which is listed as {}; "
                               "raise \"version\"",
                               loaded->policy.version(),
                               last->version(),
                               path)};
    }
  }
  if (auto staged = documents->stage(path, loaded->document, "policy", loaded->policy.version());
      !staged) {
    return staged.error();
  }
  return kExitDone;
}

}  // namespace

void add_policy_publish(Command& policy, Invocation& invocation) {
  Command* command = policy.add_subcommand(
      "publish", "make a policy a signed target of the fleet, after its expectations are met");
  const auto options = add_action<PolicyPublishOptions>(command, invocation, run_policy_publish);
  add_document_options(*command, options->document);
  command->add_option("file", options->file, "JSON, docs/formats/policy.md")->required();
  command->add_option("--name", options->name, "security/policy/NAME; gateways take policy.target")
      ->show_default();
  command->add_option("--expect", options->table, "nothing is staged if one of these is missed");
}

}  // namespace skerry::cli
