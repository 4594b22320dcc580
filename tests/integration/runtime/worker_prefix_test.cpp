// The second tier of the prefix cache with real workers: what one saves another restores, and a
// worker that misuses the protocol is no danger to the supervisor.

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/mman.h>

#include "skerry/runtime/prefix_shelf.hpp"

#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

class MemoryShelf final : public PrefixShelf {
 public:
  struct Kept {
    Digest model;
    PrefixState state;
    PrefixBytes bytes;
  };

  [[nodiscard]] std::uint64_t largest() const override { return most; }
  Task<void> save(Digest model, PrefixState state, PrefixBytes bytes) override {
    kept.push_back({model, std::move(state), std::move(bytes)});
    co_return;
  }
  Task<std::optional<Found>> find(Digest model,
                                  std::string format,
                                  std::vector<Digest> names) override {
    ++asked;
    for (const Digest& name : names) {
      for (const Kept& one : kept) {
        const auto& all = one.state.names;
        const auto at = std::find(all.begin(), all.end(), name);
        if (one.model != model || one.state.format != format || at == all.end()) {
          continue;
        }
        auto fd = one.bytes.fd.duplicate();
        if (!fd) {
          co_return std::nullopt;
        }
        Found found;
        found.bytes.fd = *std::move(fd);
        found.bytes.size = one.bytes.size;
        found.tokens = one.state.tokens;
        found.common = static_cast<std::uint32_t>(at - all.begin() + 1) * 32;
        co_return std::move(found);
      }
    }
    co_return std::nullopt;
  }
  void drop(const Digest& model, const Digest& name) override { dropped.emplace_back(model, name); }

  std::uint64_t most = 64U << 20U;
  std::vector<Kept> kept;
  std::vector<std::pair<Digest, Digest>> dropped;
  int asked = 0;
};

class WorkerPrefixTest : public WorkerTest {
 protected:
  WorkerPrefixTest() { with(&shelf_); }
  // Its workers refer to the shelf.
  ~WorkerPrefixTest() override { stop(); }

  void with(PrefixShelf* shelf) {
    SupervisorOptions options = worker_options();
    options.prefix_shelf = shelf;
    restart(std::move(options));
  }
  // Reading a prompt takes long enough for its state to be worth something.
  std::shared_ptr<LoadedModel> load_slow() { return load(null_spec({{"step_ms", "40"}})); }
  Result<Completion> ask_for(LoadedModel& model,
                             std::string text,
                             const std::string& principal = "uid:1") {
    GenerateRequest request = prompt(model, std::move(text));
    request.meta.principal = principal;
    request.max_tokens = 2;
    return ask(model, std::move(request));
  }
  // A worker reads the prompt, rests and saves; then it goes.
  void save_in_one_life(const std::string& text) {
    const auto model = load_slow();
    ASSERT_NE(model, nullptr);
    ASSERT_TRUE(ask_for(*model, text));
    run_until([&] { return !shelf_.kept.empty(); });
    run_void(model->unload(std::chrono::milliseconds{0}));
  }

  MemoryShelf shelf_;
  const std::string text_ = std::string(400, 'x');
};

TEST_F(WorkerPrefixTest, WhatOneWorkerSavesAnotherRestores) {
  save_in_one_life(text_);
  ASSERT_EQ(shelf_.kept.size(), 1U);
  const MemoryShelf::Kept& kept = shelf_.kept[0];
  EXPECT_EQ(kept.model, Digest::of("null"));
  EXPECT_EQ(kept.state.tokens, 384U);
  EXPECT_EQ(kept.state.names.size(), 12U);
  EXPECT_TRUE(kept.state.format.starts_with("null: null 1")) << kept.state.format;
  EXPECT_GT(kept.state.recompute, std::chrono::milliseconds{10});
  EXPECT_NE(::fcntl(kept.bytes.fd.get(), F_GET_SEALS) & F_SEAL_WRITE, 0);

  const auto model = load_slow();
  const int asked = shelf_.asked;
  const auto answer = ask_for(*model, text_ + "tail");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->done.usage.cached_tokens, 384U);
  EXPECT_EQ(answer->text, "xx");
  EXPECT_EQ(shelf_.asked, asked + 1);
  // Now it has the prefix in memory.
  const auto again = ask_for(*model, text_ + "other");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->done.usage.cached_tokens, 384U);
  EXPECT_EQ(shelf_.asked, asked + 1);
  EXPECT_TRUE(shelf_.dropped.empty());
}

TEST_F(WorkerPrefixTest, AnotherPrincipalModelOrSetOfOptionsFindsNothing) {
  save_in_one_life(text_);
  const auto model = load_slow();
  const auto other = ask_for(*model, text_, "uid:2");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->done.usage.cached_tokens, 0U);
  LoadSpec spec = null_spec({{"step_ms", "40"}});
  spec.model = Digest::of("another");
  const auto another = load(std::move(spec));
  const auto theirs = ask_for(*another, text_);
  ASSERT_TRUE(theirs);
  EXPECT_EQ(theirs->done.usage.cached_tokens, 0U);
  const auto configured = load(null_spec({{"step_ms", "41"}}));
  const auto its = ask_for(*configured, text_);
  ASSERT_TRUE(its);
  EXPECT_EQ(its->done.usage.cached_tokens, 0U);
}

TEST_F(WorkerPrefixTest, AStateThatTheEngineRefusesCostsNothingButTime) {
  save_in_one_life(text_);
  ASSERT_EQ(shelf_.kept.size(), 1U);
  // What a disk could never hand out: bytes that the tags do not vouch for.
  const std::string nonsense(100, '?');
  UniqueFd fd{::memfd_create("nonsense", MFD_CLOEXEC)};
  ASSERT_EQ(::write(fd.get(), nonsense.data(), nonsense.size()), 100);
  shelf_.kept[0].bytes.fd = std::move(fd);
  shelf_.kept[0].bytes.size = nonsense.size();
  const auto model = load_slow();
  const auto answer = ask_for(*model, text_ + "tail");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->done.usage.cached_tokens, 0U);
  EXPECT_EQ(answer->text, "xx");
  run_until([&] { return !shelf_.dropped.empty(); });
  EXPECT_EQ(shelf_.dropped[0].first, Digest::of("null"));
  EXPECT_EQ(shelf_.dropped[0].second, shelf_.kept[0].state.names.back());
  EXPECT_TRUE(exits_.empty() || exits_.back().clean);
}

TEST_F(WorkerPrefixTest, AShelfThatNeverAnswersDelaysAndNoMore) {
  struct Silent final : PrefixShelf {
    [[nodiscard]] std::uint64_t largest() const override { return 1U << 20U; }
    Task<void> save(Digest, PrefixState, PrefixBytes) override { co_return; }
    Task<std::optional<Found>> find(Digest, std::string, std::vector<Digest>) override {
      // Long after every patience.
      const auto executor = co_await boost::asio::this_coro::executor;
      boost::asio::steady_timer timer(executor, std::chrono::seconds(2));
      co_await timer.async_wait(boost::asio::use_awaitable);
      co_return std::nullopt;
    }
    void drop(const Digest&, const Digest&) override {}
  } silent;
  with(&silent);
  const auto model = load_slow();
  const auto answer = ask_for(*model, text_);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->text, "xx");
  EXPECT_EQ(answer->done.usage.cached_tokens, 0U);
  stop();
}

TEST_F(WorkerPrefixTest, WithoutAShelfOrACacheNothingIsSaved) {
  {
    LoadSpec spec = null_spec({{"step_ms", "40"}});
    spec.prefix_cache = false;
    const auto model = load(std::move(spec));
    ASSERT_TRUE(ask_for(*model, text_));
    ASSERT_TRUE(ask_for(*model, text_ + "more"));
    run_void(model->unload(std::chrono::milliseconds{0}));
  }
  EXPECT_EQ(shelf_.asked, 0);
  with(nullptr);
  const auto model = load_slow();
  ASSERT_TRUE(ask_for(*model, text_));
  EXPECT_TRUE(shelf_.kept.empty());
}

}  // namespace
}  // namespace skerry::runtime::test
