#pragma once

// The subcommands of `skerry model`, one file each, and what those that start a worker share.

#include <filesystem>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::cli {

class Command;
struct Invocation;

void add_model_check(Command& model, Invocation& invocation);
void add_model_quantize(Command& model, Invocation& invocation);
void add_model_evaluate(Command& model, Invocation& invocation);
void add_model_pack(Command& model, Invocation& invocation);
void add_model_sign(Command& model, Invocation& invocation);
void add_model_verify(Command& model, Invocation& invocation);
void add_model_import(Command& model, Invocation& invocation);
void add_model_export(Command& model, Invocation& invocation);
// list, inspect, activate, remove.
void add_model_catalogue(Command& model, Invocation& invocation);
// pin, unpin.
void add_model_pins(Command& model, Invocation& invocation);
// vouch, revoke.
void add_model_vouch(Command& model, Invocation& invocation);

struct WorkerOptions {
  std::string worker;
  std::string plugins;
};

// --worker and --plugins, with their environment variables.
void add_worker_options(Command& command, WorkerOptions& options);

// The worker beside this program (build tree) or in the sbin beside it (installed). kWorkerSetup if
// it is nowhere.
Result<runtime::SupervisorOptions> worker_setup(Invocation& invocation,
                                                const WorkerOptions& options);

// Opens and hashes a file for a worker.
Result<runtime::ModelFile> open_model_file(Invocation& invocation,
                                           const std::filesystem::path& path,
                                           const std::string& role);

}  // namespace skerry::cli
