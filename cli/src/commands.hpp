#pragma once

// One function per command file: it adds the command to the parser. main's list is program.cpp.

namespace skerry::cli {

class Command;
struct Invocation;

void add_status_command(Command& app, Invocation& invocation);
void add_slots_command(Command& app, Invocation& invocation);
void add_models_command(Command& app, Invocation& invocation);
void add_run_command(Command& app, Invocation& invocation);
void add_infer_command(Command& app, Invocation& invocation);
void add_rollback_command(Command& app, Invocation& invocation);
void add_audit_command(Command& app, Invocation& invocation);
void add_auth_command(Command& app, Invocation& invocation);
void add_policy_command(Command& app, Invocation& invocation);
void add_token_command(Command& app, Invocation& invocation);
void add_registry_command(Command& app, Invocation& invocation);
void add_delta_command(Command& app, Invocation& invocation);
void add_keys_command(Command& app, Invocation& invocation);
void add_repo_command(Command& app, Invocation& invocation);
void add_model_command(Command& app, Invocation& invocation);
void add_bundle_command(Command& app, Invocation& invocation);
void add_decommission_command(Command& app, Invocation& invocation);
void add_fleet_command(Command& app, Invocation& invocation);

}  // namespace skerry::cli
