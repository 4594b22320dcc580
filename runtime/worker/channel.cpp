#include "channel.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <unistd.h>

#include <sys/socket.h>

#include "wire.hpp"

namespace skerry::runtime {
namespace {

constexpr std::size_t kReadSize = 64U << 10U;
constexpr std::size_t kMaxQueuedFiles = std::size_t{2} * kMaxFrameDescriptors;

// Sends a part of the bytes, with the descriptor unless it is -1; as send(2) answers.
ssize_t send_part(int socket, std::string_view bytes, int descriptor) {
  iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(item), &descriptor, sizeof descriptor);
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL);
}

}  // namespace

Result<bool> Channel::read_some() {
  std::vector<std::uint8_t> buffer(kReadSize);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFrameDescriptors)];
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = recvmsg(fd_, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return errno_error(errno, "reading the control socket");
  }
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
      files_.emplace_back(fd);
    }
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0 || files_.size() > kMaxQueuedFiles) {
    return Error{Error::Code::kParse, "the supervisor sent more descriptors than it may"};
  }
  decoder_.feed({buffer.data(), static_cast<std::size_t>(got)});
  return got > 0;
}

Result<std::optional<Received>> Channel::receive() {
  for (;;) {
    auto frame = decoder_.next();
    if (!frame) {
      return frame.error();
    }
    if (frame->has_value()) {
      Received received;
      if (!received.message.ParseFromString((*frame)->payload) ||
          (*frame)->descriptors > files_.size()) {
        return Error{Error::Code::kParse, "the supervisor sent a malformed message"};
      }
      for (std::uint32_t i = 0; i < (*frame)->descriptors; ++i) {
        received.files.push_back(std::move(files_.front()));
        files_.pop_front();
      }
      return std::optional<Received>{std::move(received)};
    }
    auto more = read_some();
    if (!more) {
      return more.error();
    }
    if (!*more) {
      return std::optional<Received>{};
    }
  }
}

void Channel::send(const worker::v1::FromWorker& message, int descriptor) {
  auto frame = encode_frame(message.SerializeAsString(), descriptor >= 0 ? 1 : 0);
  if (!frame) {
    // Only results can be so large, and the request they answer is named in them.
    worker::v1::FromWorker instead;
    wire::put_event(message.event().key(),
                    Failure{.error = frame.error(), .retryable = false},
                    *instead.mutable_event());
    send(instead);
    return;
  }
  const std::lock_guard lock{send_mutex_};
  std::string_view rest = *frame;
  while (!rest.empty()) {
    const ssize_t sent = send_part(fd_, rest, descriptor);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      _exit(0);
    }
    descriptor = -1;  // it went with the first bytes
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Channel::send_failure(const Error& error) {
  worker::v1::FromWorker message;
  wire::put_error(error, *message.mutable_failed());
  send(message);
}

}  // namespace skerry::runtime
