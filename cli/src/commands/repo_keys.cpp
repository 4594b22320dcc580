// skerry repo delegate|rotate|revoke: who signs for what. Each stages files; the holders of the
// keys that are in force sign them, and publishing makes them count.

#include <algorithm>

#include <fmt/format.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/cli/repo_lifetimes.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "invocation.hpp"
#include "repo_commands.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

using RepositoryPtr = std::unique_ptr<tuf::Repository>;

// Says what has to be signed next.
Result<int> report_staged(Invocation& invocation, const tuf::Repository& repository) {
  const auto roles = repository.staged_roles();
  if (!roles) {
    return roles.error();
  }
  std::string names;
  for (const auto& role : *roles) {
    names += (names.empty() ? "" : ", ") + role.text();
  }
  invocation.console.line("staged, to be signed: " + names);
  return kExitDone;
}

// A key id that `role` lists, or the id of the key that `text` names.
Result<std::string> key_id_of(FileSystem& fs,
                              const tuf::RoleStatus* role,
                              const std::string& text) {
  if (role != nullptr && std::any_of(role->keys.begin(), role->keys.end(), [&](const auto& key) {
        return key.keyid == text;
      })) {
    return text;
  }
  const auto key = load_public_key(fs, text);
  if (!key) {
    return key.error();
  }
  return key->key_id();
}

const tuf::RoleStatus* find_role(const tuf::RepositoryStatus& status, const std::string& name) {
  const auto found = std::find_if(status.roles.begin(), status.roles.end(), [&](const auto& role) {
    return role.role.text() == name;
  });
  return found == status.roles.end() ? nullptr : &*found;
}

struct DelegateOptions {
  std::string folder;
  std::string name;
  std::vector<std::string> keys;
  std::vector<std::string> paths;
  std::int64_t threshold = 1;
  bool not_terminating = false;
};

Result<int> run_delegate(Invocation& invocation, const DelegateOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto lifetimes = load_lifetimes(invocation.fs, options.folder);
  if (!lifetimes) {
    return lifetimes.error();
  }
  const auto keys = load_public_keys(invocation.fs, options.keys);
  if (!keys) {
    return keys.error();
  }
  const tuf::DelegationSetup setup{
      options.name, {*keys, options.threshold}, options.paths, !options.not_terminating};
  if (auto done = (*repository)->delegate(setup, *lifetimes, invocation.clock.wall_now()); !done) {
    return done.error();
  }
  return report_staged(invocation, **repository);
}

struct RotateOptions {
  std::string folder;
  std::string role;
  std::vector<std::string> add;
  std::vector<std::string> remove;
  std::int64_t threshold = 0;
};

Result<int> run_rotate(Invocation& invocation, const RotateOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto lifetimes = load_lifetimes(invocation.fs, options.folder);
  if (!lifetimes) {
    return lifetimes.error();
  }
  // The two online roles share their key.
  const std::vector<std::string> names = options.role == "online"
                                             ? std::vector<std::string>{"snapshot", "timestamp"}
                                             : std::vector<std::string>{options.role};
  const WallTime now = invocation.clock.wall_now();
  if (options.add.empty() && options.remove.empty() && options.threshold == 0) {
    if (auto renewed = (*repository)->renew(tuf::RoleName{options.role}, *lifetimes, now);
        !renewed) {
      return renewed.error();
    }
    return report_staged(invocation, **repository);
  }
  const auto status = (*repository)->status();
  const auto added = load_public_keys(invocation.fs, options.add);
  if (!status || !added) {
    return status ? added.error() : status.error();
  }
  for (const std::string& name : names) {
    tuf::KeyChange change;
    change.add = *added;
    for (const std::string& text : options.remove) {
      const auto keyid = key_id_of(invocation.fs, find_role(*status, name), text);
      if (!keyid) {
        return keyid.error();
      }
      change.remove.push_back(*keyid);
    }
    if (options.threshold != 0) {
      change.threshold = options.threshold;
    }
    if (auto done = (*repository)->change_keys(tuf::RoleName{name}, change, *lifetimes, now);
        !done) {
      return done.error();
    }
  }
  return report_staged(invocation, **repository);
}

struct RepoRevokeOptions {
  std::string folder;
  std::string key;
  std::string role;
};

Result<int> run_repo_revoke(Invocation& invocation, const RepoRevokeOptions& options) {
  if (options.key.empty() == options.role.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "give --key (it signs for nothing any more) or --role (nobody delegates to it)"};
  }
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto lifetimes = load_lifetimes(invocation.fs, options.folder);
  if (!lifetimes) {
    return lifetimes.error();
  }
  const WallTime now = invocation.clock.wall_now();
  if (!options.role.empty()) {
    if (auto done = (*repository)->revoke_delegation(tuf::RoleName{options.role}, *lifetimes, now);
        !done) {
      return done.error();
    }
    return report_staged(invocation, **repository);
  }
  const auto status = (*repository)->status();
  if (!status) {
    return status.error();
  }
  // A key that was lost with its file is named by the id that status shows.
  std::string keyid;
  for (const auto& role : status->roles) {
    if (const auto known = key_id_of(invocation.fs, &role, options.key); known) {
      keyid = *known;
      if (keyid == options.key) {
        break;
      }
    }
  }
  if (keyid.empty()) {
    return Error{Error::Code::kNotFound,
                 "'" + options.key + "' is no key file and no key id of this repository"};
  }
  const auto roles = (*repository)->revoke_key(keyid, *lifetimes, now);
  if (!roles) {
    return roles.error();
  }
  for (const auto& role : *roles) {
    invocation.console.line(
        fmt::format("{} no longer counts for {}", keyid.substr(0, 16), role.text()));
  }
  return report_staged(invocation, **repository);
}

}  // namespace

void add_repo_keys(Command& repo, Invocation& invocation) {
  Command* delegate = repo.add_subcommand("delegate", "trust a team's keys with some paths");
  const auto delegate_options = add_action<DelegateOptions>(delegate, invocation, run_delegate);
  delegate->add_option("folder", delegate_options->folder, "")->required();
  delegate->add_option("name", delegate_options->name, "the role's name, as acme")->required();
  delegate->add_option("--key", delegate_options->keys, "the team's key (repeatable)")->required();
  delegate
      ->add_option("--path", delegate_options->paths, "pattern, as models/acme/*/* (repeatable)")
      ->required();
  delegate->add_option("--threshold", delegate_options->threshold, "signatures that are needed")
      ->show_default();
  delegate->add_flag("--not-terminating",
                     delegate_options->not_terminating,
                     "roles further down the list may list the paths too");
  Command* rotate =
      repo.add_subcommand("rotate", "change a role's keys; without a change, renew what it signed");
  const auto rotate_options = add_action<RotateOptions>(rotate, invocation, run_rotate);
  rotate->add_option("folder", rotate_options->folder, "")->required();
  rotate->add_option("--role", rotate_options->role, "root, targets, online, or a delegated role")
      ->required();
  rotate->add_option("--add-key", rotate_options->add, "key file (repeatable)");
  rotate->add_option("--remove-key", rotate_options->remove, "key file or key id (repeatable)");
  rotate->add_option("--threshold", rotate_options->threshold, "default: as it was");
  Command* revoke = repo.add_subcommand("revoke", "end the trust in a key, or in a delegated role");
  const auto revoke_options = add_action<RepoRevokeOptions>(revoke, invocation, run_repo_revoke);
  revoke->add_option("folder", revoke_options->folder, "")->required();
  revoke->add_option("--key", revoke_options->key, "key file or key id, for every role");
  revoke->add_option("--role", revoke_options->role, "a delegated role");
}

}  // namespace skerry::cli
