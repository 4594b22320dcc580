// skerry repo init|add|remove|sign|show|root|publish: the signed list of what may exist. The folder
// travels between the people who hold offline keys; `skerry fleet publish` hands the result
// to the controller.

#include <fmt/format.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/cli/model_target.hpp"
#include "skerry/cli/pinned_prompts.hpp"
#include "skerry/cli/repo_lifetimes.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "repo_commands.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

constexpr std::size_t kMaxMetadata = tuf::MetadataLimits::kTargetsBytes;

struct InitOptions {
  std::string folder;
  std::vector<std::string> root_keys;
  std::vector<std::string> targets_keys;
  std::vector<std::string> online_keys;
  std::int64_t root_threshold = 0;
  std::int64_t targets_threshold = 0;
  bool director = false;
  bool offline = false;
};

// By default all but one of the keys, at least one: 2 of 3, 1 of 2, 1 of 1.
std::int64_t threshold_of(std::int64_t asked, std::size_t keys) {
  if (asked > 0) {
    return asked;
  }
  return keys > 2 ? static_cast<std::int64_t>(keys) - 1 : 1;
}

// The director repository: offline keys sign its root, and the controller's director key the rest.
Result<int> init_director(Invocation& invocation,
                          const InitOptions& options,
                          const tuf::RoleSetup& root,
                          const tuf::RoleSetup& online) {
  const auto repository = tuf::Repository::init(invocation.fs,
                                                options.folder,
                                                tuf::RootSetup{root, online, online, online},
                                                {},
                                                invocation.clock.wall_now());
  if (!repository) {
    return repository.error();
  }
  // Its lists are made by the controller, one for each device.
  if (auto discarded = (*repository)->discard(tuf::Role::kTargets); !discarded) {
    return discarded.error();
  }
  invocation.console.line(
      fmt::format("{}: the director's root needs {} of {} signatures; sign it next",
                  options.folder,
                  root.threshold,
                  root.keys.size()));
  return kExitDone;
}

Result<int> run_init(Invocation& invocation, const InitOptions& options) {
  if (options.director != options.targets_keys.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "give --targets-key for the image repository, or --director, whose lists the "
                 "controller signs"};
  }
  const auto root = load_public_keys(invocation.fs, options.root_keys);
  const auto targets = load_public_keys(invocation.fs, options.targets_keys);
  const auto online = load_public_keys(invocation.fs, options.online_keys);
  for (const auto* keys : {&root, &targets, &online}) {
    if (!*keys) {
      return keys->error();
    }
  }
  tuf::RootSetup setup;
  setup.root = {*root, threshold_of(options.root_threshold, root->size())};
  if (options.director) {
    return init_director(invocation, options, setup.root, {*online, 1});
  }
  setup.targets = {*targets, threshold_of(options.targets_threshold, targets->size())};
  setup.snapshot = {*online, 1};
  setup.timestamp = {*online, 1};
  const tuf::RepositoryLifetimes lifetimes =
      options.offline ? offline_lifetimes() : tuf::RepositoryLifetimes{};
  const auto repository = tuf::Repository::init(
      invocation.fs, options.folder, setup, lifetimes, invocation.clock.wall_now());
  if (!repository) {
    return repository.error();
  }
  if (options.offline) {
    if (auto saved = save_lifetimes(invocation.fs, options.folder, lifetimes); !saved) {
      return saved.error();
    }
  }
  invocation.console.line(
      fmt::format("{}: root needs {} of {} signatures, targets {} of {}; sign both next",
                  options.folder,
                  setup.root.threshold,
                  setup.root.keys.size(),
                  setup.targets.threshold,
                  setup.targets.keys.size()));
  return kExitDone;
}

struct FolderOption {
  std::string folder;
};

struct AddOptions {
  std::string folder;
  std::vector<std::string> manifests;
  std::string role = "targets";
  std::string not_after;
  std::vector<std::string> prompts;
};

Result<int> run_add(Invocation& invocation, const AddOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto lifetimes = load_lifetimes(invocation.fs, options.folder);
  if (!lifetimes) {
    return lifetimes.error();
  }
  for (const std::string& path : options.manifests) {
    if (auto pinned = pin_prompts(invocation.fs, path, options.prompts); !pinned) {
      return pinned.error();
    }
    auto target = load_model_target(invocation.fs, path);
    if (!target) {
      return target.error();
    }
    if (auto ends = set_not_after(*target, options.not_after); !ends) {
      return ends.error();
    }
    if (auto added = (*repository)
                         ->add_target(target->path,
                                      target->file,
                                      *lifetimes,
                                      invocation.clock.wall_now(),
                                      tuf::RoleName{options.role});
        !added) {
      return added.error().with_context(path);
    }
    invocation.console.line("staged " + target->path);
  }
  return kExitDone;
}

struct RemoveOptions {
  std::string folder;
  std::string target;
  std::string role = "targets";
};

Result<int> run_remove(Invocation& invocation, const RemoveOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto lifetimes = load_lifetimes(invocation.fs, options.folder);
  if (!lifetimes) {
    return lifetimes.error();
  }
  if (auto removed = (*repository)
                         ->remove_target(options.target,
                                         *lifetimes,
                                         invocation.clock.wall_now(),
                                         tuf::RoleName{options.role});
      !removed) {
    return removed.error();
  }
  invocation.console.line("staged without " + options.target);
  return kExitDone;
}

struct SignOptions {
  std::string path;
  std::vector<std::string> keys;
  std::string role;
};

Result<int> sign_file(Invocation& invocation, const SignOptions& options) {
  auto bytes = read_file(invocation.fs, options.path, kMaxMetadata);
  if (!bytes) {
    return bytes.error();
  }
  const auto description = tuf::describe_metadata(*bytes);
  if (!description) {
    return description.error().with_context(options.path);
  }
  invocation.console.note(*description);
  for (const std::string& text : options.keys) {
    const auto signer = load_signer(invocation.fs, text);
    if (!signer) {
      return signer.error();
    }
    auto with_signature = tuf::sign_metadata(*bytes, **signer);
    if (!with_signature) {
      return with_signature.error();
    }
    bytes = std::move(with_signature);
  }
  if (auto written = write_file_atomic(invocation.fs, options.path, *bytes, 0644); !written) {
    return written.error();
  }
  invocation.console.line("signed " + options.path);
  return kExitDone;
}

Result<int> run_sign(Invocation& invocation, const SignOptions& options) {
  const auto status = invocation.fs.status(options.path);
  if (!status) {
    return status.error();
  }
  if (!status->is_directory) {
    return sign_file(invocation, options);
  }
  const auto repository = tuf::Repository::open(invocation.fs, options.path);
  if (!repository) {
    return repository.error();
  }
  auto roles = (*repository)->staged_roles();
  if (!roles) {
    return roles.error();
  }
  if (!options.role.empty()) {
    roles = std::vector<tuf::RoleName>{tuf::RoleName{options.role}};
  }
  const auto signatures = sign_staged(invocation.fs, **repository, *roles, options.keys);
  if (!signatures) {
    return signatures.error();
  }
  for (const std::string& line : *signatures) {
    invocation.console.line(line);
  }
  return kExitDone;
}

Result<int> run_show(Invocation& invocation, const FolderOption& options) {
  const auto bytes = read_file(invocation.fs, options.folder, kMaxMetadata);
  if (!bytes) {
    return bytes.error();
  }
  const auto description = tuf::describe_metadata(*bytes);
  if (!description) {
    return description.error();
  }
  invocation.console.print(*description);
  if (!description->ends_with('\n')) {
    invocation.console.line("");
  }
  return kExitDone;
}

struct RootOptions {
  std::string folder;
  std::string out;
};

Result<int> run_root(Invocation& invocation, const RootOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto root = (*repository)->current_root();
  if (!root) {
    return root.error();
  }
  if (options.out.empty()) {
    invocation.console.line(*root);
    return kExitDone;
  }
  if (auto written = write_file_atomic(invocation.fs, options.out, *root, 0644); !written) {
    return written.error();
  }
  invocation.console.note("root written to " + options.out);
  return kExitDone;
}

struct PublishOptions {
  std::string folder;
  std::string online_key;
};

Result<int> run_publish(Invocation& invocation, const PublishOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto signer = load_signer(invocation.fs, options.online_key);
  if (!signer) {
    return signer.error();
  }
  const auto lifetimes = load_lifetimes(invocation.fs, options.folder);
  if (!lifetimes) {
    return lifetimes.error();
  }
  if (auto published =
          (*repository)->publish(**signer, **signer, *lifetimes, invocation.clock.wall_now());
      !published) {
    return published.error();
  }
  invocation.console.line("published in " + options.folder);
  return kExitDone;
}

void add_making(Command* repo, Invocation& invocation) {
  Command* init = repo->add_subcommand("init", "make a repository and stage its first root");
  const auto options = add_action<InitOptions>(init, invocation, run_init);
  init->add_option("folder", options->folder, "")->required();
  init->add_option("--root-key", options->root_keys, "offline key (repeatable)")->required();
  init->add_option("--targets-key", options->targets_keys, "offline key (repeatable)");
  init->add_option("--online-key",
                   options->online_keys,
                   "for snapshot and timestamp: the controller's (skerry fleet info)")
      ->required();
  init->add_flag("--director",
                 options->director,
                 "the director repository: the controller's director key signs all but the root");
  init->add_option(
      "--root-threshold", options->root_threshold, "default: all but one of three or more");
  init->add_option("--targets-threshold", options->targets_threshold, "");
  init->add_flag("--offline",
                 options->offline,
                 "the offline repository, which directs bundles: signed for a year and longer");
  Command* add = repo->add_subcommand("add", "stage models: their manifests become targets");
  const auto add_options = add_action<AddOptions>(add, invocation, run_add);
  add->add_option("folder", add_options->folder, "")->required();
  add->add_option("manifest", add_options->manifests, "manifest.json of a packed model")
      ->required();
  add->add_option("--role", add_options->role, "whose list: a delegated role's")->show_default();
  add->add_option(
      "--not-after", add_options->not_after, "no device installs it after this date (UTC)");
  add->add_option("--pin-prompt", add_options->prompts, std::string{kPinPromptHelp});
  Command* remove = repo->add_subcommand("remove", "stage the list without a target");
  const auto remove_options = add_action<RemoveOptions>(remove, invocation, run_remove);
  remove->add_option("folder", remove_options->folder, "")->required();
  remove->add_option("target", remove_options->target, "models/team/name/version")->required();
  remove->add_option("--role", remove_options->role, "whose list")->show_default();
}

}  // namespace

void add_repo_command(Command& app, Invocation& invocation) {
  Command* repo = app.add_subcommand("repo", "the signed list of what may exist (TUF)");
  repo->require_subcommand(1);
  add_making(repo, invocation);
  add_repo_status(*repo, invocation);
  add_repo_keys(*repo, invocation);
  add_repo_transfer(*repo, invocation);
  add_repo_revocations(*repo, invocation);
  Command* sign = repo->add_subcommand(
      "sign", "sign what is staged in a repository, or one metadata file on another machine");
  const auto sign_options = add_action<SignOptions>(sign, invocation, run_sign);
  sign->add_option("path", sign_options->path, "repository folder or metadata file")->required();
  sign->add_option("--key", sign_options->keys, "offline key (repeatable)")->required();
  sign->add_option(
      "--role", sign_options->role, "one role; default: whatever is staged that the key may sign");
  Command* show = repo->add_subcommand("show", "describe a metadata file before signing it");
  const auto show_options = add_action<FolderOption>(show, invocation, run_show);
  show->add_option("file", show_options->folder, "")->required();
  Command* root = repo->add_subcommand("root", "print the root that devices are provisioned with");
  const auto root_options = add_action<RootOptions>(root, invocation, run_root);
  root->add_option("folder", root_options->folder, "")->required();
  root->add_option("--out", root_options->out, "write it to this file");
  Command* publish =
      repo->add_subcommand("publish", "make snapshot and timestamp here, without a controller");
  const auto publish_options = add_action<PublishOptions>(publish, invocation, run_publish);
  publish->add_option("folder", publish_options->folder, "")->required();
  publish->add_option("--online-key", publish_options->online_key, "")->required();
}

}  // namespace skerry::cli
