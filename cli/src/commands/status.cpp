// skerry status: one look at this gateway.

#include <fmt/format.h>

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {

std::string model_text(const ::skerry::models::v1::Model& model) {
  if (model.name().empty()) {
    return "-";
  }
  return model.name() + " " + model.version() + " " + model.variant();
}

namespace {

// "1/2 shared": of two threads one is in use, since others run beside it.
std::string threads_text(const admin::WorkerStatus& worker) {
  if (worker.threads() == 0) {
    return "-";
  }
  return fmt::format("{}/{} {}", worker.threads(), worker.most_threads(), worker.cpu_state());
}

void print_workers(Console& console, const admin::GetStatusResponse& status) {
  if (status.workers().empty()) {
    return;
  }
  console.line("");
  Table table{{"worker", "runtime", "pid", "state", "memory", "threads", "restarts", "sandbox"}};
  for (const auto& worker : status.workers()) {
    std::string missing;
    std::size_t enforced = 0;
    for (const auto& [layer, outcome] : worker.sandbox()) {
      if (outcome.starts_with("unavailable") || outcome.starts_with("missing") ||
          outcome.starts_with("no")) {
        missing += " -" + layer;
      } else {
        ++enforced;
      }
    }
    table.add({worker.model(),
               worker.plugin() + " " + worker.engine_version(),
               std::to_string(worker.pid()),
               worker.state(),
               human_bytes(worker.resident_bytes()),
               threads_text(worker),
               std::to_string(worker.restarts()),
               fmt::format("{}/{}{}", enforced, worker.sandbox().size(), missing)});
  }
  console.print(table.text());
}

// Prompts that the operator pinned with the models that are loaded.
void print_prompts(Console& console, const admin::GetStatusResponse& status) {
  Table table{{"pinned prompt", "model", "state", "tokens", "why"}};
  bool any = false;
  for (const auto& worker : status.workers()) {
    for (const auto& prompt : worker.pinned_prompts()) {
      any = true;
      table.add({printable(prompt.name()),
                 worker.model(),
                 prompt.state(),
                 std::to_string(prompt.tokens()),
                 printable(prompt.problem())});
    }
  }
  if (any) {
    console.line("");
    console.print(table.text());
  }
}

// "12.0 MiB of 256.0 MiB, 3 states (1 pinned), 14 found, 5 not".
std::string prefixes_text(const admin::PrefixDiskStatus& disk) {
  if (disk.limit_bytes() == 0) {
    return "none on disk";
  }
  std::string text = fmt::format("{} of {} on disk, {} states",
                                 human_bytes(disk.bytes()),
                                 human_bytes(disk.limit_bytes()),
                                 disk.states());
  if (disk.pinned() > 0) {
    text += fmt::format(" ({} pinned)", disk.pinned());
  }
  text += fmt::format(", {} found, {} not", disk.hits(), disk.misses());
  return text + (disk.resting() ? "; the disk failed, nothing is kept for a while" : "");
}

// Servers that answer for models of the runtime "openai".
void print_upstreams(Console& console, const admin::GetStatusResponse& status) {
  if (status.upstreams().empty()) {
    return;
  }
  console.line("");
  Table table{{"upstream", "server", "tier", "state", "requests", "answered", "failed", "why"}};
  for (const auto& server : status.upstreams()) {
    table.add({server.name(),
               server.server(),
               server.tier(),
               server.state(),
               fmt::format("{}/{}", server.running_requests(), server.max_concurrent()),
               std::to_string(server.answered()),
               std::to_string(server.failed()),
               printable(server.problem())});
  }
  console.print(table.text());
}

// "12.0 MiB of 100.0 MiB today, 1.2 GiB this month, metered".
std::string link_text(const admin::LinkStatus& link) {
  const auto used = [](std::uint64_t bytes, std::uint64_t limit) {
    return human_bytes(bytes) + (limit == 0 ? "" : " of " + human_bytes(limit));
  };
  std::string text = used(link.day_bytes(), link.day_limit_bytes()) + " today, " +
                     used(link.month_bytes(), link.month_limit_bytes()) + " this month";
  text += link.metered() ? ", metered" : "";
  if (link.served_to_peers_bytes() > 0) {
    text += ", " + human_bytes(link.served_to_peers_bytes()) + " served to peers";
  }
  return text + (link.held_back().empty() ? "" : "; " + link.held_back());
}

// What is on its way into a slot: "FETCHING 42 %".
std::string state_text(const admin::SlotStatus& slot) {
  if (slot.state() != "FETCHING" || slot.total_bytes() == 0) {
    return slot.state();
  }
  return slot.state() + " " + std::to_string(slot.done_bytes() * 100 / slot.total_bytes()) + " %";
}

void print_status(Console& console, const admin::GetStatusResponse& status) {
  const auto& sync = status.sync();
  console.line(fmt::format("skerryd {} since {}, ready after {:.1f} ms, {} resident",
                           status.version(),
                           human_time(status.started_at_unix_ms()),
                           static_cast<double>(status.ready_us()) / 1000.0,
                           human_bytes(status.resident_bytes())));
  console.line(fmt::format("models      {} of {} budget",
                           human_bytes(status.memory_used_bytes()),
                           human_bytes(status.memory_budget_bytes())));
  console.line(
      fmt::format("controller  {}{}",
                  sync.controller().empty() ? "none" : sync.controller() + ", " + sync.state(),
                  sync.last_error().empty() ? "" : " (" + sync.last_error() + ")"));
  if (sync.enrolled()) {
    console.line(fmt::format("device      {}, last contact {}, certificate until {}",
                             sync.device_id(),
                             human_time(sync.last_contact_unix_ms()),
                             human_time(sync.certificate_expires_unix_ms())));
  }
  console.line(fmt::format(
      "outbox      {} records, {}", sync.outbox_records(), human_bytes(sync.outbox_bytes())));
  console.line(fmt::format("policy      {}{}",
                           status.policy_version(),
                           status.policy_source().empty() ? "" : ", " + status.policy_source()));
  for (const auto& document : status.signed_documents()) {
    if (document.version() == 0 && document.problem().empty()) {
      continue;
    }
    console.line(printable(
        fmt::format("signed      {} {} by {}{}",
                    document.name(),
                    document.version(),
                    document.role().empty() ? "nobody" : document.role(),
                    document.problem().empty() ? "" : "; REFUSED: " + document.problem())));
  }
  if (const auto& glass = status.break_glass(); glass.active()) {
    console.line(fmt::format("BREAK-GLASS {} is on for {} s more, {} uses: {}",
                             glass.id(),
                             glass.left_seconds(),
                             glass.uses(),
                             printable(glass.reason())));
  }
  console.line(
      fmt::format("audit       {} records, root {}", status.audit_size(), status.audit_root()));
  console.line(fmt::format("clock       {}{}",
                           status.clock_state(),
                           status.clock_detail().empty() ? "" : ": " + status.clock_detail()));
  if (status.storage_encryption() == "on" || status.unconverted_blobs() > 0) {
    console.line(
        fmt::format("storage     encryption {}{}",
                    status.storage_encryption(),
                    status.unconverted_blobs() == 0
                        ? ""
                        : fmt::format(", {} blobs still to convert", status.unconverted_blobs())));
  }
  // Older daemons say nothing of it.
  if (status.has_prefix_disk()) {
    console.line("prefixes    " + prefixes_text(status.prefix_disk()));
  }
  console.line("link        " + link_text(status.link()));
  console.line("");
  Table table{{"slot", "state", "active", "previous", "why"}};
  for (const auto& slot : status.slots()) {
    table.add({slot.slot(),
               state_text(slot),
               model_text(slot.active()),
               model_text(slot.previous()),
               !slot.revocation().empty() ? slot.revocation()
               : slot.reason().empty()    ? slot.active().variant_reason()
                                          : slot.reason()});
  }
  console.print(table.text());
  print_workers(console, status);
  print_prompts(console, status);
  print_upstreams(console, status);
}

Result<int> run_status(Invocation& invocation, const NoOptions& /*options*/) {
  const auto status = call_admin(invocation, admin::GetStatusRequest{});
  if (!status) {
    return status.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*status));
  } else {
    print_status(invocation.console, *status);
  }
  return kExitDone;
}

}  // namespace

void add_status_command(Command& app, Invocation& invocation) {
  add_action<NoOptions>(
      app.add_subcommand("status", "slots, workers, controller, outbox and audit of this gateway"),
      invocation,
      run_status);
}

}  // namespace skerry::cli
