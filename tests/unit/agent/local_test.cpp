#include <array>
#include <set>
#include <unistd.h>

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "skerry/agent/caller.hpp"
#include "skerry/agent/peer_table.hpp"
#include "skerry/agent/unix_listener.hpp"
#include "skerry/common/file_system.hpp"

#include "grpc/status.hpp"
#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

std::array<UniqueFd, 2> socket_pair() {
  std::array<int, 2> fds{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  return {UniqueFd{fds[0]}, UniqueFd{fds[1]}};
}

TEST(Caller, IsReadFromTheKernel) {
  auto pair = socket_pair();
  Result<Caller> caller = peer_credentials(pair[0].get());
  ASSERT_TRUE(caller) << caller.error().to_string();
  EXPECT_EQ(caller->principal.uid, ::getuid());
  EXPECT_EQ(caller->principal.gids.front(), ::getgid());
  EXPECT_EQ(caller->authn_method, "peercred");
}

TEST(Caller, IsRefusedForSomethingThatIsNoSocket) {
  std::array<int, 2> fds{-1, -1};
  ASSERT_EQ(::pipe(fds.data()), 0);
  const UniqueFd read_end{fds[0]};
  const UniqueFd write_end{fds[1]};
  EXPECT_FALSE(peer_credentials(read_end.get()));
}

Caller named(std::uint32_t uid) {
  Caller caller;
  caller.principal = security::Principal::local(uid, {});
  return caller;
}

TEST(PeerTable, FindsWhoWasAdmitted) {
  PeerTable peers{300, 400};
  auto pair = socket_pair();
  Result<UniqueFd> fd = peers.admit(std::move(pair[0]), named(7));
  ASSERT_TRUE(fd) << fd.error().to_string();
  EXPECT_GE(fd->get(), 300);
  Result<Caller> found = peers.find("fd:" + std::to_string(fd->get()));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->principal.uid, 7U);
  for (const char* peer : {"", "fd:", "fd:x", "fd:301x", "ipv4:127.0.0.1:1", "fd:9999"}) {
    EXPECT_FALSE(peers.find(peer)) << peer;
  }
}

TEST(PeerTable, DoesNotGiveANumberOutAgainAtOnce) {
  PeerTable peers{300, 310};
  std::set<int> seen;
  for (std::uint32_t i = 0; i < 10; ++i) {
    auto pair = socket_pair();
    Result<UniqueFd> fd = peers.admit(std::move(pair[0]), named(i));
    ASSERT_TRUE(fd) << fd.error().to_string();
    // Closed at the end of each round: the kernel would give the lowest number again.
    EXPECT_TRUE(seen.insert(fd->get()).second) << fd->get();
  }
}

TEST(PeerTable, RefusesWhenEveryNumberIsTaken) {
  PeerTable peers{300, 303};
  std::vector<UniqueFd> held;
  Result<UniqueFd> last = Error{Error::Code::kInternal, ""};
  for (std::uint32_t i = 0; i < 4; ++i) {
    auto pair = socket_pair();
    last = peers.admit(std::move(pair[0]), named(i));
    if (last) {
      held.push_back(*std::move(last));
    }
  }
  EXPECT_EQ(held.size(), 3U);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), Error::Code::kResourceExhausted);
}

TEST(ListenUnix, ReplacesAStaleSocketButNotALiveOneNorAFile) {
  test::TempDir dir;
  const auto path = dir / "s";
  {
    Result<UniqueFd> first = listen_unix(path, SocketOwner{});
    ASSERT_TRUE(first) << first.error().to_string();
    Result<UniqueFd> second = listen_unix(path, SocketOwner{});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Error::Code::kAlreadyExists);
  }
  EXPECT_TRUE(listen_unix(path, SocketOwner{}));
  SystemFileSystem fs;
  ASSERT_TRUE(write_file_atomic(fs, dir / "file", "x"));
  EXPECT_FALSE(listen_unix(dir / "file", SocketOwner{}));
  EXPECT_FALSE(listen_unix(dir / std::string(200, 'x'), SocketOwner{}));
}

TEST(Status, EveryErrorHasAStatusAndKeepsItsName) {
  for (const Error::Code code : all_error_codes()) {
    const grpc::Status status = to_status(Error{code, "what happened"});
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.error_message(), testing::StartsWith(std::string{to_string(code)} + ": "));
  }
}

TEST(Status, FollowsTheTable) {
  using Code = Error::Code;
  using grpc::StatusCode;
  EXPECT_EQ(to_status(Error{Code::kQueueFull, ""}).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(to_status(Error{Code::kOutOfMemory, ""}).error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(to_status(Error{Code::kNotFound, ""}).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(to_status(Error{Code::kPermissionDenied, ""}).error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(to_status(Error{Code::kContextTooLong, ""}).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(to_status(Error{Code::kWorkerLost, ""}).error_code(), StatusCode::UNAVAILABLE);
}

TEST(Status, ComesBackAsAnErrorOfTheSameKind) {
  EXPECT_EQ(from_status(grpc::Status{grpc::StatusCode::UNAVAILABLE, "x"}).code(),
            Error::Code::kUnavailable);
  EXPECT_EQ(from_status(grpc::Status{grpc::StatusCode::NOT_FOUND, "x"}).code(),
            Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::agent
