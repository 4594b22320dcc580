// Descriptors that a worker sends: one rides with its frame, and whoever sends others is garbage.

#include "worker_link.hpp"

#include <cstring>
#include <optional>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace skerry::runtime {
namespace {

using Received = Result<std::optional<worker::v1::FromWorker>>;

class WorkerLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2] = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer_.reset(ends[0]);
    SpawnedWorker worker;
    worker.control.reset(ends[1]);
    // Somebody whom the link kills in the end.
    worker.pid = ::fork();
    ASSERT_GE(worker.pid, 0);
    if (worker.pid == 0) {
      ::close(ends[0]);  // or the link never sees its end
      ::close(ends[1]);
      for (;;) {
        ::pause();
      }
    }
    worker.process.reset(static_cast<int>(::syscall(SYS_pidfd_open, worker.pid, 0)));
    ASSERT_TRUE(worker.process);
    link_ = std::make_shared<WorkerLink>(io_.get_executor(), std::move(worker));
  }

  void send(const std::string& bytes, std::size_t descriptors) const {
    iovec part{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const UniqueFd file{::memfd_create("test", MFD_CLOEXEC)};
    ASSERT_EQ(::write(file.get(), "content", 7), 7);
    const std::vector<int> numbers(descriptors, file.get());
    std::vector<char> control(CMSG_SPACE(sizeof(int) * descriptors));
    if (descriptors > 0) {
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* item = CMSG_FIRSTHDR(&header);
      item->cmsg_level = SOL_SOCKET;
      item->cmsg_type = SCM_RIGHTS;
      item->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
      std::memcpy(CMSG_DATA(item), numbers.data(), sizeof(int) * descriptors);
    }
    ASSERT_EQ(::sendmsg(peer_.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  static std::string frame(std::uint64_t number, std::uint32_t descriptors) {
    worker::v1::FromWorker message;
    message.mutable_pong()->set_number(number);
    auto bytes = encode_frame(message.SerializeAsString(), descriptors);
    return bytes ? *bytes : std::string{};
  }
  Received receive() {
    std::optional<Received> received;
    boost::asio::co_spawn(io_, hold(link_, received), [](const std::exception_ptr&) {});
    while (!received) {
      io_.restart();
      io_.run_one();
    }
    return std::move(*received);
  }

  boost::asio::io_context io_;
  UniqueFd peer_;
  std::shared_ptr<WorkerLink> link_;

 private:
  static Task<void> hold(std::shared_ptr<WorkerLink> link, std::optional<Received>& received) {
    auto message = co_await link->receive();
    received.emplace(std::move(message));
  }
};

TEST_F(WorkerLinkTest, ADescriptorComesWithItsFrameAndNoOther) {
  send(frame(1, 0) + frame(2, 1), 1);
  send(frame(3, 0), 0);
  auto first = receive();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->pong().number(), 1U);
  EXPECT_FALSE(link_->take_descriptor());
  auto second = receive();
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->pong().number(), 2U);
  const UniqueFd descriptor = link_->take_descriptor();
  ASSERT_TRUE(descriptor);
  char content[8] = {};
  EXPECT_EQ(::pread(descriptor.get(), content, sizeof content, 0), 7);
  EXPECT_STREQ(content, "content");
  EXPECT_FALSE(link_->take_descriptor());
  auto third = receive();
  ASSERT_TRUE(third && *third);
  EXPECT_FALSE(link_->take_descriptor());
  peer_.reset();
  const auto end = receive();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end) << "the worker closed its end";
}

TEST_F(WorkerLinkTest, OneThatNobodyTookIsClosedWithTheNextFrame) {
  send(frame(1, 1), 1);
  ASSERT_TRUE(receive());
  send(frame(2, 0), 0);
  ASSERT_TRUE(receive());
  EXPECT_FALSE(link_->take_descriptor());
}

TEST_F(WorkerLinkTest, AFrameWithoutItsDescriptorIsGarbage) {
  send(frame(1, 1), 0);
  EXPECT_FALSE(receive());
}

TEST_F(WorkerLinkTest, TwoInOneFrameAreGarbage) {
  send(frame(1, 2), 2);
  EXPECT_FALSE(receive());
}

TEST_F(WorkerLinkTest, DescriptorsThatNoFrameNamesAreGarbage) {
  send(frame(1, 0), 2);
  ASSERT_TRUE(receive());
  send(frame(2, 0), 1);
  EXPECT_FALSE(receive()) << "they may not pile up";
}

TEST_F(WorkerLinkTest, AHeapOfThemIsGarbage) {
  send(frame(1, 0), 20);
  EXPECT_FALSE(receive());
}

}  // namespace
}  // namespace skerry::runtime
