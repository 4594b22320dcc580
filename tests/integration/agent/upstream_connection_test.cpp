// How a server is found and connected to: names that nobody answers for, addresses that swallow
// what is sent to them.
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "upstream/dial.hpp"
#include "upstream/lookup.hpp"

namespace skerry::agent::upstream {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using namespace std::chrono_literals;

tcp::endpoint loopback(std::uint16_t port) {
  return {asio::ip::address_v4::loopback(), port};
}

// A lookup that takes until it is let go.
struct Stuck {
  std::promise<void> let_go;
  std::shared_ptr<std::promise<void>> returned = std::make_shared<std::promise<void>>();

  Lookup::Ask ask() {
    return [go = let_go.get_future().share(), done = returned] {
      go.wait();
      done->set_value();
      Lookup::Found found;
      found.addresses.push_back(loopback(1));
      return found;
    };
  }
};

Task<void> look_up(Lookup& lookup, Lookup::Ask ask, std::optional<Lookup::Found>& out) {
  Lookup::Found found = co_await lookup.run(std::move(ask));
  out = std::move(found);
}

void ignore(const std::exception_ptr& /*error*/) {}

TEST(UpstreamLookup, ThoseThatNobodyEndsAreBounded) {
  std::vector<Stuck> stuck(Lookup::kMost);
  asio::io_context io;
  std::vector<std::unique_ptr<Lookup>> lookups;
  std::vector<std::optional<Lookup::Found>> found(Lookup::kMost + 1);
  for (Stuck& one : stuck) {
    const std::size_t i = lookups.size();
    lookups.push_back(std::make_unique<Lookup>(io.get_executor()));
    asio::co_spawn(io, look_up(*lookups[i], one.ask(), found[i]), ignore);
  }
  io.poll();
  Lookup last(io.get_executor());
  asio::co_spawn(io, look_up(last, Lookup::Ask(), found[Lookup::kMost]), ignore);
  io.poll();
  ASSERT_TRUE(found[Lookup::kMost]);
  EXPECT_EQ(found[Lookup::kMost]->ec, asio::error::host_not_found_try_again);
  for (Stuck& one : stuck) {
    one.let_go.set_value();
  }
  io.run();
  for (unsigned i = 0; i < Lookup::kMost; ++i) {
    EXPECT_TRUE(found[i] && !found[i]->ec) << i;
  }
}

TEST(UpstreamLookup, TellsWhatWasFound) {
  asio::io_context io;
  Lookup lookup(io.get_executor());
  std::optional<Lookup::Found> found;
  const auto ask = [] {
    Lookup::Found made;
    made.addresses = {loopback(7), loopback(8)};
    return made;
  };
  asio::co_spawn(io, look_up(lookup, ask, found), ignore);
  io.run();
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->ec);
  EXPECT_EQ(found->addresses, (std::vector<tcp::endpoint>{loopback(7), loopback(8)}));
}

TEST(UpstreamLookup, WhoGivesUpDoesNotWaitForTheSystem) {
  Stuck stuck;
  {
    asio::io_context io;
    Lookup lookup(io.get_executor());
    std::optional<Lookup::Found> found;
    asio::co_spawn(io, look_up(lookup, stuck.ask(), found), ignore);
    asio::post(io, [&lookup] { lookup.abandon(); });
    io.run();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->ec, asio::error::operation_aborted);
  }
  // It comes back when nothing is left of whoever asked.
  auto returned = stuck.returned->get_future();
  stuck.let_go.set_value();
  returned.wait();
}

TEST(UpstreamLookup, ALoopThatEndsDoesNotWaitEither) {
  Stuck stuck;
  {
    asio::io_context io;
    Lookup lookup(io.get_executor());
    std::optional<Lookup::Found> found;
    asio::co_spawn(io, look_up(lookup, stuck.ask(), found), ignore);
    io.poll();
    EXPECT_FALSE(found);
  }
  auto returned = stuck.returned->get_future();
  stuck.let_go.set_value();
  returned.wait();
}

TEST(UpstreamDial, FamiliesTakeTurns) {
  const tcp::endpoint six{asio::ip::address_v6::loopback(), 1};
  std::vector<tcp::endpoint> many{six, six, six, six, six, six, six, six, six, loopback(1)};
  const auto tried = in_turn(many);
  ASSERT_EQ(tried.size(), 8U);
  EXPECT_EQ(tried[0], six);
  EXPECT_EQ(tried[1], loopback(1));
  EXPECT_EQ(tried[2], six);
  EXPECT_TRUE(in_turn({}).empty());
}

class UpstreamDialing : public ::testing::Test {
 protected:
  // Where nobody listens.
  tcp::endpoint closed() {
    const tcp::acceptor gone(io_, loopback(0));
    return gone.local_endpoint();
  }
  // Whether a queue of connections that nobody accepts is full: the next one gets no answer.
  bool fill(tcp::acceptor& acceptor) {
    acceptor.open(tcp::v4());
    acceptor.bind(loopback(0));
    acceptor.listen(0);
    for (int i = 0; i < 8; ++i) {
      fillers_.push_back(std::make_unique<tcp::socket>(io_));
      fillers_.back()->async_connect(
          acceptor.local_endpoint(),
          [this](const boost::system::error_code& ec) { filled_ += ec ? 0U : 1U; });
    }
    io_.run_for(200ms);
    return filled_ < 8;
  }
  boost::system::error_code dial(std::vector<tcp::endpoint> addresses) {
    Dial dial(io_.get_executor(), 20ms);
    std::optional<boost::system::error_code> ended;
    asio::co_spawn(io_, run(dial, std::move(addresses), ended), ignore);
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (!ended && std::chrono::steady_clock::now() < until) {
      io_.restart();
      io_.run_for(5ms);
    }
    EXPECT_TRUE(ended);
    return ended.value_or(asio::error::timed_out);
  }
  Task<void> run(Dial& dial,
                 std::vector<tcp::endpoint> addresses,
                 std::optional<boost::system::error_code>& out) {
    const boost::system::error_code ec = co_await dial.run(std::move(addresses), socket_);
    out = ec;
  }

  asio::io_context io_;
  tcp::socket socket_{io_};
  std::vector<std::unique_ptr<tcp::socket>> fillers_;
  unsigned filled_ = 0;
};

TEST_F(UpstreamDialing, WhoRefusesIsFollowedByTheNext) {
  tcp::acceptor open(io_, loopback(0));
  EXPECT_FALSE(dial({closed(), open.local_endpoint()}));
  EXPECT_EQ(socket_.remote_endpoint(), open.local_endpoint());
}

TEST_F(UpstreamDialing, IfAllRefuseTheLastSaysSo) {
  EXPECT_EQ(dial({closed(), closed()}), asio::error::connection_refused);
  EXPECT_EQ(dial({}), asio::error::host_not_found);
}

TEST_F(UpstreamDialing, WhoDoesNotAnswerIsNotWaitedFor) {
  tcp::acceptor silent(io_);
  if (!fill(silent)) {
    GTEST_SKIP() << "this system answers for a full queue";
  }
  tcp::acceptor open(io_, loopback(0));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(dial({silent.local_endpoint(), open.local_endpoint()}));
  EXPECT_EQ(socket_.remote_endpoint(), open.local_endpoint());
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
}

}  // namespace
}  // namespace skerry::agent::upstream
