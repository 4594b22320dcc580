// skerry repo join|export|import: a team's own working copy, and a staged file that is carried to a
// machine without a network, signed there with `skerry repo sign FILE`, and carried back. Several
// people may do it one after the other or side by side: signatures are merged.

#include "skerry/security/tuf/repository.hpp"

#include "invocation.hpp"
#include "repo_commands.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

struct ExportOptions {
  std::string folder;
  std::string role;
  std::string out;
};

Result<int> run_repo_export(Invocation& invocation, const ExportOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto bytes = (*repository)->staged(tuf::RoleName{options.role});
  if (!bytes) {
    return bytes.error();
  }
  if (auto written = write_file_atomic(invocation.fs, options.out, *bytes, 0644); !written) {
    return written.error();
  }
  invocation.console.line(options.role + " written to " + options.out +
                          "; sign it there with: skerry repo sign FILE --key KEY");
  return kExitDone;
}

struct ImportOptions {
  std::string folder;
  std::string file;
  std::string role;
};

Result<int> run_repo_import(Invocation& invocation, const ImportOptions& options) {
  const auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto bytes = read_file(invocation.fs, options.file, tuf::MetadataLimits::kTargetsBytes);
  if (!bytes) {
    return bytes.error();
  }
  auto role = options.role.empty() ? (*repository)->role_of_staged(*bytes)
                                   : Result<tuf::RoleName>{tuf::RoleName{options.role}};
  if (!role) {
    return role.error().with_context(options.file);
  }
  if (auto taken = (*repository)->submit(*role, *bytes); !taken) {
    return taken.error().with_context(options.file);
  }
  invocation.console.line("signatures of " + role->text() + " taken from " + options.file);
  return kExitDone;
}

struct JoinOptions {
  std::string folder;
  std::string root;
};

Result<int> run_join(Invocation& invocation, const JoinOptions& options) {
  const auto root = read_file(invocation.fs, options.root, tuf::MetadataLimits::kRootBytes);
  if (!root) {
    return root.error();
  }
  const auto repository = tuf::Repository::join(invocation.fs, options.folder, *root);
  if (!repository) {
    return repository.error().with_context(options.root);
  }
  invocation.console.line(options.folder +
                          " starts from that root; skerry fleet pull-trust brings the rest");
  return kExitDone;
}

}  // namespace

void add_repo_transfer(Command& repo, Invocation& invocation) {
  Command* join = repo.add_subcommand(
      "join", "make a working copy of a published repository, to sign a team's list");
  const auto join_options = add_action<JoinOptions>(join, invocation, run_join);
  join->add_option("folder", join_options->folder, "")->required();
  join->add_option("--root", join_options->root, "a root that you trust, as devices have it")
      ->required();
  Command* save = repo.add_subcommand("export", "write a staged file, to be signed elsewhere");
  const auto export_options = add_action<ExportOptions>(save, invocation, run_repo_export);
  save->add_option("folder", export_options->folder, "")->required();
  save->add_option("--role", export_options->role, "root, targets or a delegated role")->required();
  save->add_option("--out", export_options->out, "file")->required();
  Command* load = repo.add_subcommand("import", "take the signatures of a file signed elsewhere");
  const auto import_options = add_action<ImportOptions>(load, invocation, run_repo_import);
  load->add_option("folder", import_options->folder, "")->required();
  load->add_option("file", import_options->file, "")->required();
  load->add_option("--role", import_options->role, "where the file is not what is staged here");
}

}  // namespace skerry::cli
