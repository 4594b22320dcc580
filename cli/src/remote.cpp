#include "remote.hpp"

#include <cerrno>
#include <unistd.h>

#include <google/protobuf/util/json_util.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "skerry/cli/remote_error.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::cli {
namespace {

Error unreachable(const std::string& path, int error_number) {
  if (error_number == ENOENT || error_number == ECONNREFUSED) {
    return {Error::Code::kUnavailable,
            "no daemon listens on " + path +
                ": is skerryd running? (systemctl status skerryd; another socket: --api-socket, "
                "--admin-socket)"};
  }
  if (error_number == EACCES || error_number == EPERM) {
    return {Error::Code::kPermissionDenied,
            path + " is not open to you: join the group skerry-admin, or use sudo"};
  }
  return errno_error(error_number, "connecting to " + path);
}

}  // namespace

Result<std::shared_ptr<grpc::Channel>> connect_socket(const std::string& path) {
  // One plain connect first: gRPC would only say "failed to connect to all addresses".
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{Error::Code::kInvalidArgument, "the socket path is too long: " + path};
  }
  path.copy(address.sun_path, path.size());
  const UniqueFd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!probe.valid()) {
    return errno_error(errno, "socket");
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return unreachable(path, errno);
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetMaxSendMessageSize(64 << 20);
  return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

Error to_error(const grpc::Status& status, const std::string& peer) {
  return remote_error(static_cast<int>(status.error_code()), status.error_message(), peer);
}

void set_deadline(grpc::ClientContext& context, std::chrono::seconds timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

}  // namespace skerry::cli
