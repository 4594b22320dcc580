#include "processes.hpp"

#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "skerry/common/unique_fd.hpp"

extern char** environ;

namespace skerry::bench {
namespace {

Result<int> spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const auto& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const int fd : {1, 2}) {
    ::posix_spawn_file_actions_addopen(
        &actions, fd, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  }
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return errno_error(failed, "starting " + command.front());
  }
  return pid;
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& command, const std::string& log) {
  const auto pid = spawn(command, log);
  if (!pid) {
    return pid.error();
  }
  return Child{*pid};
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
}

Result<double> time_shell(const std::string& command) {
  const auto start = std::chrono::steady_clock::now();
  const auto pid = spawn({"sh", "-c", command}, "/dev/null");
  if (!pid) {
    return pid.error();
  }
  int status = 0;
  ::waitpid(*pid, &status, 0);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (status != 0) {
    return Error{Error::Code::kInternal, "this command failed: " + command};
  }
  return took.count();
}

Result<void> wait_for_port(int port, std::chrono::seconds patience) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto end = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < end) {
    const UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  return Error{
      Error::Code::kUnavailable,
      "nothing listens on 127.0.0.1:" + std::to_string(port) + "; see the logs in the work folder"};
}

}  // namespace skerry::bench
