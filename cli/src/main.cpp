// `skerry`: the command line of gateways and fleets. Everything is in run_program.

#include <csignal>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <unistd.h>

#include "skerry/cli/program.hpp"

int main(int argc, char** argv) {
  // A closed pipe ends the output, not the program with a signal in mid-write of a file.
  std::signal(SIGPIPE, SIG_IGN);
  std::error_code ec;
  const std::filesystem::path executable = std::filesystem::read_symlink("/proc/self/exe", ec);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  skerry::SystemFileSystem fs;
  const skerry::SystemClock clock;
  return skerry::cli::run_program(arguments,
                                  executable.parent_path().string(),
                                  {std::cin, std::cout, std::cerr, isatty(STDERR_FILENO) == 1},
                                  fs,
                                  clock);
}
