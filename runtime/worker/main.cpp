// skerry-worker: holds one model in one sandboxed process. Started by the supervisor in skerryd
// with a control socket as descriptor 3; takes no arguments and reads no configuration.

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include <sys/socket.h>

#include "channel.hpp"
#include "process.hpp"
#include "session.hpp"

namespace {

constexpr int kControlSocket = 3;
constexpr int kUsage = 64;

bool is_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

}  // namespace

int main() {
  using namespace skerry::runtime;  // NOLINT(google-build-using-namespace): the program's only
                                    // scope
  if (!is_socket(kControlSocket)) {
    std::fputs("skerry-worker is started by skerryd and has no use by itself\n", stderr);
    return kUsage;
  }
  settle_process();
  Channel channel{kControlSocket};
  const auto memory = ProcessMemory::open();
  if (!memory) {
    channel.send_failure(memory.error());
    return 1;
  }
  Session session{channel, *memory};
  int status = 0;
  for (;;) {
    auto received = channel.receive();
    if (!received) {
      channel.send_failure(received.error());
      status = 1;
      break;
    }
    if (!received->has_value() || !session.handle(std::move(**received), status)) {
      break;
    }
  }
  // Engine threads may still compute: nothing of theirs needs an orderly end.
  std::fflush(nullptr);
  _exit(status);
}
