#pragma once

// What every command gets: where to print, the seams, and the global options. A command's `add_…`
// function describes its options and leaves what to do in `action`.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "skerry/cli/console.hpp"
#include "skerry/cli/program.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

#include "command_line.hpp"

namespace skerry::cli {

struct Invocation {
  Console console;
  FileSystem& fs;
  const Clock& clock;
  std::filesystem::path program_dir;

  bool json = false;
  std::string api_socket = "/run/skerry/api.sock";
  std::string admin_socket = "/run/skerry/admin.sock";

  // The chosen command; gives the exit code.
  std::function<Result<int>()> action;
};

// Adds a command whose options live in a `State` and whose work is `run(invocation, state)`. The
// returned state is what its options are bound to.
template <class State>
std::shared_ptr<State> add_action(Command* command,
                                  Invocation& invocation,
                                  Result<int> (*run)(Invocation&, const State&)) {
  auto state = std::make_shared<State>();
  command->on_chosen([&invocation, state, run] {
    invocation.action = [&invocation, state, run] { return run(invocation, *state); };
  });
  return state;
}

struct NoOptions {};

}  // namespace skerry::cli
