#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <sys/socket.h>

#include "null_model.hpp"

namespace skerry_null {
namespace {

constexpr int kControlSocket = 3;

[[noreturn]] void hang() {
  for (;;) {
    pause();
  }
}

// Takes memory until there is no more, as a leak does: ends in bad_alloc under a limit.
void leak() {
  constexpr std::size_t kPiece = 1U << 20U;
  for (std::size_t taken = 0; taken < (std::size_t{4} << 30U); taken += kPiece) {
    char* piece = new char[kPiece];
    std::memset(piece, 1, kPiece);
    // Kept on purpose.
    static std::vector<char*> pieces;
    pieces.push_back(piece);
  }
}

void write_garbage() {
  const char garbage[] = "this is not a frame of the worker protocol";
  if (write(kControlSocket, garbage, sizeof garbage) < 0) {
    _exit(1);
  }
}

int result_of(int outcome) {
  return outcome < 0 ? errno : 0;
}

}  // namespace

std::uint32_t fail(skerry_error* error, std::uint32_t status, std::string_view message) {
  const std::size_t length =
      message.size() < sizeof error->message - 1 ? message.size() : sizeof error->message - 1;
  std::memcpy(error->message, message.data(), length);
  error->message[length] = '\0';
  return status;
}

bool commit_fault(std::string_view name) {
  if (name == "abort") {
    std::abort();
  }
  if (name == "kill") {
    raise(SIGKILL);
  }
  if (name == "segv") {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  if (name == "exec") {
    const char* arguments[] = {"/bin/true", nullptr};
    execv(arguments[0], const_cast<char* const*>(arguments));
  }
  if (name == "exit") {
    _exit(7);
  }
  if (name == "hang") {
    hang();
  }
  if (name == "leak") {
    leak();
    return true;
  }
  if (name == "garbage") {
    write_garbage();
    return true;
  }
  return false;
}

std::string probe_sandbox() {
  std::string report = "open=" + std::to_string(result_of(open("/etc/passwd", O_RDONLY)));
  report +=
      " create=" + std::to_string(result_of(open("/tmp/skerry-probe", O_CREAT | O_WRONLY, 0600)));
  report += " socket=" + std::to_string(result_of(socket(AF_INET, SOCK_STREAM, 0)));
  report += " unix=" + std::to_string(result_of(socket(AF_UNIX, SOCK_STREAM, 0)));
  report += " kill=" + std::to_string(result_of(kill(getppid(), 0)));
  return report;
}

bool pass_time(skerry_model& model, unsigned milliseconds) {
  for (unsigned passed = 0; passed < milliseconds; ++passed) {
    if (model.interrupted.exchange(false) || model.host->should_stop(model.host->ctx) != 0) {
      return false;
    }
    const timespec one{.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&one, nullptr);
    model.host->heartbeat(model.host->ctx);
  }
  return true;
}

}  // namespace skerry_null
