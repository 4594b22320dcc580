#pragma once

// One function per command file: it adds the command to the parser. main's list is program.cpp.

namespace CLI {
class App;
}

namespace skerry::cli {

struct Invocation;

void add_status_command(CLI::App& app, Invocation& invocation);
void add_slots_command(CLI::App& app, Invocation& invocation);
void add_models_command(CLI::App& app, Invocation& invocation);
void add_run_command(CLI::App& app, Invocation& invocation);
void add_infer_command(CLI::App& app, Invocation& invocation);
void add_rollback_command(CLI::App& app, Invocation& invocation);
void add_audit_command(CLI::App& app, Invocation& invocation);
void add_auth_command(CLI::App& app, Invocation& invocation);
void add_policy_command(CLI::App& app, Invocation& invocation);
void add_token_command(CLI::App& app, Invocation& invocation);
void add_gc_command(CLI::App& app, Invocation& invocation);
void add_keys_command(CLI::App& app, Invocation& invocation);
void add_repo_command(CLI::App& app, Invocation& invocation);
void add_model_command(CLI::App& app, Invocation& invocation);
void add_fleet_command(CLI::App& app, Invocation& invocation);

}  // namespace skerry::cli
