// skerry repo status: versions, ends, who has still to sign; --check for a timer that warns in
// time.

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "skerry/security/tuf/repository.hpp"

#include "invocation.hpp"
#include "repo_commands.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

struct RepoStatusOptions {
  std::string folder;
  std::uint32_t warn_days = 30;
  bool check = false;
};

std::int64_t whole_days(std::chrono::milliseconds time) {
  return std::chrono::floor<std::chrono::hours>(time).count() / 24;
}

// How long before its end a role should be renewed: online roles are made anew all the time and
// live shorter.
std::int64_t warning_days(const tuf::RoleName& role, const RepoStatusOptions& options) {
  const std::int64_t offline = options.warn_days;
  return role == tuf::Role::kTimestamp  ? std::min<std::int64_t>(offline, 2)
         : role == tuf::Role::kSnapshot ? std::min<std::int64_t>(offline, 7)
                                        : offline;
}

// What a person must hear about a role; empty if there is nothing.
std::string warning_of(const tuf::RoleStatus& role,
                       const RepoStatusOptions& options,
                       WallTime now) {
  const std::string& name = role.role.text();
  const bool online = role.role == tuf::Role::kSnapshot || role.role == tuf::Role::kTimestamp;
  const std::string renew =
      online ? "publish again"
             : "renew it: skerry repo rotate " + options.folder + " --role " + name;
  if (!role.expires) {
    return "";
  }
  if (*role.expires <= now) {
    return fmt::format(
        "{} ended on {}: devices take nothing new; {}", name, to_rfc3339(*role.expires), renew);
  }
  const std::int64_t left = whole_days(*role.expires - now);
  return left < warning_days(role.role, options)
             ? fmt::format(
                   "{} ends in {} days ({}); {}", name, left, to_rfc3339(*role.expires), renew)
             : "";
}

// "2 of 3: 4f2a…, 91bc… signed; 77de… has not".
std::string signers_text(const tuf::RoleStatus& role) {
  std::string done;
  std::string missing;
  for (const auto& key : role.keys) {
    std::string& list = key.signed_by ? done : missing;
    list += (list.empty() ? "" : ", ") + key.keyid.substr(0, 16);
  }
  std::string text =
      fmt::format("{} {} waits for publication, ", role.role.text(), *role.staged_version);
  text +=
      role.ready ? "ready" : fmt::format("{} of {} signatures", role.signatures, role.threshold);
  text += done.empty() ? "" : "; signed by " + done;
  text += missing.empty() || role.ready ? "" : "; not yet by " + missing;
  return text;
}

Json role_json(const tuf::RoleStatus& role, const std::string& warning) {
  Json::Array keys;
  for (const auto& key : role.keys) {
    keys.emplace_back(Json::Object{
        {"key_id", key.keyid}, {"algorithm", key.algorithm}, {"signed", key.signed_by}});
  }
  return Json{
      Json::Object{{"role", role.role.text()},
                   {"published_version", role.published_version},
                   {"staged_version", role.staged_version ? Json{*role.staged_version} : Json{}},
                   {"expires", role.expires ? Json{to_rfc3339(*role.expires)} : Json{}},
                   {"warning", warning.empty() ? Json{} : Json{warning}},
                   {"signatures", role.signatures},
                   {"threshold", role.threshold},
                   {"ready", role.ready},
                   {"keys", std::move(keys)}}};
}

Result<int> run_repo_status(Invocation& invocation, const RepoStatusOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto status = (*repository)->status();
  if (!status) {
    return status.error();
  }
  Json::Array roles;
  std::vector<std::string> lines;
  bool warned = false;
  Table table{{"role", "published", "expires", "staged", "signatures", "ready"}};
  for (const auto& role : status->roles) {
    const std::string warning = warning_of(role, options, invocation.clock.wall_now());
    warned = warned || !warning.empty();
    roles.push_back(role_json(role, warning));
    table.add({role.role.text(),
               role.published_version == 0 ? "-" : std::to_string(role.published_version),
               role.expires ? to_rfc3339(*role.expires) : "-",
               role.staged_version ? std::to_string(*role.staged_version) : "-",
               fmt::format("{} of {}", role.signatures, role.threshold),
               role.staged_version ? (role.ready ? "yes" : "no") : "-"});
    if (role.staged_version) {
      lines.push_back(signers_text(role));
    }
    if (!warning.empty()) {
      lines.push_back("warning: " + warning);
    }
  }
  if (invocation.json) {
    invocation.console.print_json(Json{Json::Object{
        {"targets", static_cast<std::uint64_t>(status->targets)}, {"roles", std::move(roles)}}});
  } else {
    invocation.console.print(table.text());
    invocation.console.line(fmt::format("{} targets", status->targets));
    for (const std::string& line : lines) {
      invocation.console.line(line);
    }
  }
  return options.check && warned ? kExitFailed : kExitDone;
}

}  // namespace

void add_repo_status(Command& repo, Invocation& invocation) {
  Command* status = repo.add_subcommand("status", "versions, ends, and who has still to sign");
  const auto options = add_action<RepoStatusOptions>(status, invocation, run_repo_status);
  status->add_option("folder", options->folder, "")->required();
  status->add_option("--warn-days", options->warn_days, "warn this long before a role ends")
      ->show_default();
  status->add_flag("--check", options->check, "exit code 1 if there is a warning, for timers");
}

}  // namespace skerry::cli
