// skerry policy break-glass: root administers for a while although the policy denies it. Each use
// is in the audit log; ADR 0073.

#include <fmt/format.h>

#include "skerry/common/toml_reader.hpp"

#include "admin.hpp"
#include "message_json.hpp"
#include "policy_commands.hpp"

namespace skerry::cli {
namespace {

struct BreakGlassOptions {
  std::string reason;
  std::string time = "15m";
  bool end = false;
};

Result<int> run_break_glass(Invocation& invocation, const BreakGlassOptions& options) {
  if (options.end != options.reason.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "give --reason TEXT to turn it on, or --end to turn it off"};
  }
  const auto time = parse_duration(options.time);
  if (!time) {
    return time.error().with_context("--for");
  }
  admin::BreakGlassRequest request;
  request.set_reason(options.reason);
  request.set_end(options.end);
  request.set_seconds(
      static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(*time).count()));
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  const auto& status = response->status();
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else if (status.active()) {
    invocation.console.line(
        fmt::format("break-glass {} is on for {} s; every use is recorded. End it with: skerry "
                    "policy break-glass --end",
                    status.id(),
                    status.left_seconds()));
  } else {
    invocation.console.line(
        fmt::format("break-glass {} is off after {} uses", status.id(), status.uses()));
  }
  return kExitDone;
}

}  // namespace

void add_policy_break_glass(Command& policy, Invocation& invocation) {
  Command* command = policy.add_subcommand(
      "break-glass", "root on this gateway: administer although the policy denies it, on record");
  const auto options = add_action<BreakGlassOptions>(command, invocation, run_break_glass);
  command->add_option("--reason", options->reason, "why, for the audit log: 8 to 400 characters");
  command->add_option("--for", options->time, "how long, at most 4h; a restart ends it too")
      ->show_default();
  command->add_flag("--end", options->end, "turn it off");
}

}  // namespace skerry::cli
