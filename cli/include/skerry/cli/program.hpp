#pragma once

// The `skerry` command line as a function, so that tests run whole commands in their own process.
// Each command is one file in src/commands/; docs/man/skerry.1 describes them for people.

#include <string>
#include <vector>

#include "skerry/cli/console.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"

namespace skerry::cli {

// Exit codes, listed in docs/errors.md.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNo = 3;
inline constexpr int kExitUnreachable = 4;

// `arguments` without the program's name; `program_dir` is the folder that holds the executable
// (the worker is looked for beside it). Never throws. Blocks until the command is done.
int run_program(const std::vector<std::string>& arguments,
                const std::string& program_dir,
                Streams streams,
                FileSystem& fs,
                const Clock& clock);

}  // namespace skerry::cli
