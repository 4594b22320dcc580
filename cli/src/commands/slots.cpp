// skerry slots: what each slot runs, what is being installed, what was marked bad here.

#include <algorithm>
#include <chrono>
#include <thread>

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
  for (const auto& slot : response->slots()) {
    for (const auto& share : slot.sources()) {
      invocation.console.line(fmt::format(
          "{}: {} from {}", slot.slot(), human_bytes(share.bytes()), printable(share.source())));
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

struct WatchOptions {
  std::string slot = "default";
};

// A bar while the slot fetches, a line for each other state, until it rests.
Result<int> run_slot_watch(Invocation& invocation, const WatchOptions& options) {
  constexpr std::chrono::milliseconds kLook{250};
  std::string last;
  for (;;) {
    const auto response = call_admin(invocation, admin::ListSlotsRequest{});
    if (!response) {
      return response.error();
    }
    const auto found = std::find_if(
        response->slots().begin(), response->slots().end(), [&](const admin::SlotStatus& slot) {
          return slot.slot() == options.slot;
        });
    if (found == response->slots().end()) {
      return Error{Error::Code::kNotFound, "there is no slot " + options.slot};
    }
    const std::string& state = found->state();
    if (state == "FETCHING") {
      invocation.console.progress(found->target(), found->done_bytes(), found->total_bytes());
    } else if (state != last) {
      invocation.console.finish_progress();
      invocation.console.line(fmt::format(
          "{} {}{}", options.slot, state, found->reason().empty() ? "" : ": " + found->reason()));
    }
    last = state;
    const bool rests = state == "IDLE" || state == "PROBATION" || state == "COMMITTED" ||
                       state == "REJECTED" || state == "QUARANTINED" || state == "ROLLED_BACK" ||
                       state == "SAFE";
    if (rests) {
      return state == "REJECTED" || state == "QUARANTINED" ? kExitFailed : kExitDone;
    }
    std::this_thread::sleep_for(kLook);
  }
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
  Command* watch = slots->add_subcommand("watch", "follow a slot until it rests, with a bar");
  const auto watched = add_action<WatchOptions>(watch, invocation, run_slot_watch);
  watch->add_option("slot", watched->slot, "the slot, \"default\" if none is named");
  Command* clear =
      slots->add_subcommand("clear-quarantine", "forget that a digest was marked bad here");
  const auto options = add_action<ClearOptions>(clear, invocation, run_clear);
  clear->add_option("digest", options->digest, "sha256:…, as `skerry slots` shows it")->required();
}

}  // namespace skerry::cli
