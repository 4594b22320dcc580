#include "worker_link.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
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
      std::optional<worker::v1::FromWorker> message;
      message.emplace();
      if (!message->ParseFromString((*frame)->payload)) {
        co_return Error(Error::Code::kParse, "a worker frame holds no message of the protocol");
      }
      co_return std::move(message);
    }
    const auto space = asio::buffer(read_buffer_);
    constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
    const auto [ec, got] = co_await socket_.async_read_some(space, kToken);
    if (ec == asio::error::operation_aborted) {
      throw boost::system::system_error(ec);
    }
    if (ec) {
      co_return std::optional<worker::v1::FromWorker>();
    }
    decoder_.feed(ByteView(read_buffer_.data(), got));
  }
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
