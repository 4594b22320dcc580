#include "worker_link.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>
#include <sys/wait.h>

namespace skerry::runtime {
namespace {

namespace asio = boost::asio;

// Sends a part of the bytes, with the descriptors if any are left; -1 and errno like send(2).
ssize_t send_part(int socket, std::string_view bytes, const std::vector<UniqueFd>& fds) {
  iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  std::vector<char> control(CMSG_SPACE(sizeof(int) * fds.size()));
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(item) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// A worker hands over one state at a time. What one recvmsg brings is bounded by the control
// buffer: the kernel closes what does not fit.
constexpr std::size_t kMostDescriptors = 2;

}  // namespace

WorkerLink::WorkerLink(const asio::any_io_executor& executor, SpawnedWorker worker)
    : pid_(worker.pid),
      process_(std::move(worker.process)),
      socket_(executor, worker.control.release()),
      exit_(executor) {
  auto copy = process_.duplicate();
  if (copy) {
    exit_.assign(copy->release());
  }
}

WorkerLink::~WorkerLink() {
  if (!reaped_) {
    send_signal(process_, SIGKILL);
    // Dies at once: it has been killed.
    waitpid(pid_, nullptr, 0);
  }
}

Result<void> WorkerLink::send(const worker::v1::ToWorker& message, const std::vector<int>& fds) {
  auto frame = encode_frame(message.SerializeAsString(), static_cast<std::uint32_t>(fds.size()));
  if (!frame) {
    return frame.error();
  }
  Outgoing outgoing{.bytes = std::move(*frame), .sent = 0, .fds = {}};
  for (const int fd : fds) {
    UniqueFd copy{fcntl(fd, F_DUPFD_CLOEXEC, 0)};
    if (!copy) {
      return errno_error(errno, "duplicating a model's descriptor");
    }
    outgoing.fds.push_back(std::move(copy));
  }
  outgoing_.push_back(std::move(outgoing));
  flush();
  return {};
}

void WorkerLink::flush() {
  while (!outgoing_.empty() && !writing_ && socket_.is_open()) {
    Outgoing& first = outgoing_.front();
    const std::string_view rest = std::string_view{first.bytes}.substr(first.sent);
    const ssize_t sent = send_part(socket_.native_handle(), rest, first.fds);
    if (sent > 0) {
      first.fds.clear();
      first.sent += static_cast<std::size_t>(sent);
      if (first.sent == first.bytes.size()) {
        outgoing_.pop_front();
      }
    } else if (errno == EAGAIN) {
      writing_ = true;
      socket_.async_wait(asio::posix::descriptor_base::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& ec) {
                           self->writing_ = false;
                           if (!ec) {
                             self->flush();
                           }
                         });
    } else if (errno != EINTR) {
      // The worker is gone, which `receive` finds out.
      outgoing_.clear();
    }
  }
}

Task<Result<std::optional<worker::v1::FromWorker>>> WorkerLink::receive() {
  for (;;) {
    auto frame = decoder_.next();
    if (!frame) {
      co_return frame.error();
    }
    if (frame->has_value()) {
      if ((*frame)->descriptors > 1 || (*frame)->descriptors > arrived_.size()) {
        co_return Error(Error::Code::kParse, "a worker frame comes without its descriptors");
      }
      descriptor_ = UniqueFd();
      if ((*frame)->descriptors == 1) {
        descriptor_ = std::move(arrived_.front());
        arrived_.pop_front();
      }
      std::optional<worker::v1::FromWorker> message;
      message.emplace();
      if (!message->ParseFromString((*frame)->payload)) {
        co_return Error(Error::Code::kParse, "a worker frame holds no message of the protocol");
      }
      co_return std::move(message);
    }
    constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
    const auto readable = asio::posix::descriptor_base::wait_read;
    const auto [ec] = co_await socket_.async_wait(readable, kToken);
    if (ec == asio::error::operation_aborted) {
      throw boost::system::system_error(ec);
    }
    if (ec) {
      co_return std::optional<worker::v1::FromWorker>();
    }
    const auto more = read_some();
    if (!more) {
      co_return more.error();
    }
    if (*more == false) {
      co_return std::optional<worker::v1::FromWorker>();
    }
  }
}

// Nothing if there was nothing to read after all.
Result<std::optional<bool>> WorkerLink::read_some() {
  iovec part{.iov_base = read_buffer_.data(), .iov_len = read_buffer_.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket_.native_handle(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) {
    const bool later = errno == EAGAIN || errno == EINTR;
    return later ? std::optional<bool>{} : std::optional<bool>{false};
  }
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
      arrived_.emplace_back(fd);
    }
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0 || arrived_.size() > kMostDescriptors) {
    return Error{Error::Code::kParse, "a worker sent more descriptors than it may"};
  }
  decoder_.feed(ByteView{read_buffer_.data(), static_cast<std::size_t>(got)});
  return std::optional<bool>{got > 0};
}

Task<ProcessEnd> WorkerLink::ended() {
  constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
  const auto readable = asio::posix::descriptor_base::wait_read;
  const auto [ec] = co_await exit_.async_wait(readable, kToken);
  if (ec) {
    throw boost::system::system_error(ec);
  }
  const auto end = reap(process_);
  reaped_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  co_return end ? *end : ProcessEnd();
}

void WorkerLink::kill(const Error& reason) {
  if (!reason_) {
    reason_ = reason;
  }
  send_signal(process_, SIGKILL);
}

}  // namespace skerry::runtime
