#include <cerrno>
#include <fcntl.h>

#include "skerry/registry/chunk_index.hpp"

#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {

void add_worker_options(Command& command, WorkerOptions& options) {
  command.add_option("--worker", options.worker, "the skerry-worker program")
      ->environment("SKERRY_WORKER");
  command.add_option("--plugins", options.plugins, "folder of the runtime plugins")
      ->environment("SKERRY_PLUGIN_DIR");
}

Result<runtime::SupervisorOptions> worker_setup(Invocation& invocation,
                                                const WorkerOptions& options) {
  runtime::SupervisorOptions supervisor;
  const std::filesystem::path library = invocation.program_dir.parent_path() / "lib" / "skerry";
  if (!options.worker.empty()) {
    supervisor.worker = options.worker;
  } else if (invocation.fs.exists(invocation.program_dir / "skerry-worker")) {
    supervisor.worker = invocation.program_dir / "skerry-worker";
  } else {
    supervisor.worker = invocation.program_dir.parent_path() / "sbin" / "skerry-worker";
  }
  supervisor.plugin_dir =
      options.plugins.empty() ? library / "plugins" : std::filesystem::path{options.plugins};
  if (!invocation.fs.exists(supervisor.worker)) {
    return Error{Error::Code::kWorkerSetup,
                 "there is no skerry-worker at " + supervisor.worker.string() + ": say --worker"};
  }
  return supervisor;
}

Result<runtime::ModelFile> open_model_file(Invocation& invocation,
                                           const std::filesystem::path& path,
                                           const std::string& role) {
  auto hashed = registry::hash_file(invocation.fs, path);
  if (!hashed) {
    return hashed.error();
  }
  auto file = invocation.fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  // The seam owns its descriptor, the worker gets one of its own.
  UniqueFd fd{::fcntl((*file)->fd(), F_DUPFD_CLOEXEC, 0)};
  if (!fd.valid()) {
    return errno_error(errno, path.string());
  }
  runtime::ModelFile model;
  model.fd = std::move(fd);
  model.name = path.filename().string();
  model.role = role;
  model.length = status->size;
  model.digest = hashed->digest;
  return model;
}

}  // namespace skerry::cli
