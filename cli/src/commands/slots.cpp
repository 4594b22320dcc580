// skerry slots: what each slot runs, what is being installed, what was marked bad here.

#include <fmt/format.h>

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

Result<int> run_slots_list(Invocation& invocation, const NoOptions& /*options*/) {
  const auto response = call_admin(invocation, admin::ListSlotsRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table table{{"slot", "state", "active", "generation", "target", "fetched", "reused"}};
  for (const auto& slot : response->slots()) {
    table.add(
        {slot.slot(),
         slot.state(),
         model_text(slot.active()),
         std::to_string(slot.active().generation()),
         slot.target().empty() ? "-" : slot.target(),
         fmt::format("{} / {}", human_bytes(slot.fetched_bytes()), human_bytes(slot.total_bytes())),
         human_bytes(slot.reused_bytes())});
  }
  invocation.console.print(table.text());
  for (const auto& slot : response->slots()) {
    for (const std::string& reason : slot.variant_reasons()) {
      invocation.console.line(slot.slot() + ": " + printable(reason));
    }
  }
  for (const auto& entry : response->quarantine()) {
    invocation.console.line(fmt::format("quarantined {} {}: {}",
                                        human_time(entry.at_unix_ms()),
                                        entry.digest(),
                                        printable(entry.reason())));
  }
  return kExitDone;
}

struct ClearOptions {
  std::string digest;
};

Result<int> run_clear(Invocation& invocation, const ClearOptions& options) {
  admin::ClearQuarantineRequest request;
  request.set_digest(options.digest);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (!response->found()) {
    return Error{Error::Code::kNotFound, options.digest + " is not quarantined here"};
  }
  invocation.console.line("cleared " + options.digest);
  return kExitDone;
}

}  // namespace

void add_slots_command(Command& app, Invocation& invocation) {
  Command* slots = app.add_subcommand("slots", "what each slot runs and what is being installed");
  slots->require_subcommand(0, 1);
  add_action<NoOptions>(slots, invocation, run_slots_list);
  Command* clear =
      slots->add_subcommand("clear-quarantine", "forget that a digest was marked bad here");
  const auto options = add_action<ClearOptions>(clear, invocation, run_clear);
  clear->add_option("digest", options->digest, "sha256:…, as `skerry slots` shows it")->required();
}

}  // namespace skerry::cli
