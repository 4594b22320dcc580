// `skerry`: the command line of gateways and fleets. Everything is in run_program.

#include <csignal>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <unistd.h>

#include <sys/stat.h>

#include "skerry/cli/program.hpp"

namespace {

// A character device (/dev/null under systemd) or a socket gives no text of its own accord.
bool is_pipe_or_file(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

}  // namespace

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
                                  {.in = std::cin,
                                   .out = std::cout,
                                   .err = std::cerr,
                                   .interactive = isatty(STDERR_FILENO) == 1,
                                   .in_terminal = isatty(STDIN_FILENO) == 1,
                                   .out_terminal = isatty(STDOUT_FILENO) == 1,
                                   .in_piped = is_pipe_or_file(STDIN_FILENO)},
                                  fs,
                                  clock);
}
