// Cells that several sequences hold: how many are in use, and what becomes free.

#include "cell_ledger.hpp"

#include <array>

#include <gtest/gtest.h>

#include "cell_engine.hpp"
#include "slot_pool.hpp"

namespace skerry::runtime {
namespace {

constexpr std::size_t kTokens = CellLedger::kBlock;

TEST(CellLedgerTest, ASharedCellCountsOnceUntilTheLastHolderLetsGo) {
  CellLedger ledger{4};
  ledger.grow(0, 3 * kTokens + 5);
  EXPECT_EQ(ledger.cells(), 3 * kTokens + 5);
  ledger.share(0, 1, 2 * kTokens);
  EXPECT_EQ(ledger.cells(), 3 * kTokens + 5) << "a copy takes none";
  ledger.grow(1, 2 * kTokens + 7);
  EXPECT_EQ(ledger.cells(), 3 * kTokens + 12);
  EXPECT_EQ(ledger.own_cells(0), kTokens + 5);
  EXPECT_EQ(ledger.own_cells(1), 7U);
  ledger.cut(0, 0);
  EXPECT_EQ(ledger.cells(), 2 * kTokens + 7);
  EXPECT_EQ(ledger.own_cells(1), 2 * kTokens + 7);
  ledger.cut(1, 0);
  EXPECT_EQ(ledger.cells(), 0U);
  ledger.grow(2, 10 * kTokens);
  EXPECT_EQ(ledger.cells(), 10 * kTokens) << "what was freed is used again";
}

TEST(CellLedgerTest, ACutKeepsWholeBlocks) {
  CellLedger ledger{2};
  ledger.grow(0, 4 * kTokens + 1);
  ledger.share(0, 1, 4 * kTokens);
  ledger.cut(0, 2 * kTokens);
  EXPECT_EQ(ledger.tokens(0), 2 * kTokens);
  EXPECT_EQ(ledger.tokens(1), 4 * kTokens);
  EXPECT_EQ(ledger.cells(), 4 * kTokens) << "the other one still holds them";
  ledger.cut(1, kTokens);
  EXPECT_EQ(ledger.cells(), 2 * kTokens);
  EXPECT_EQ(ledger.own_cells(0), kTokens);
}

TEST(CellLedgerTest, SeveralTogether) {
  CellLedger ledger{3};
  ledger.grow(0, 2 * kTokens);
  ledger.share(0, 1, kTokens);
  ledger.grow(1, 3 * kTokens);
  ledger.grow(2, kTokens);
  constexpr std::array<std::uint32_t, 2> kBoth{0, 1};
  EXPECT_EQ(ledger.cells_of(kBoth), 4 * kTokens);
  EXPECT_EQ(ledger.cells_of({}), 0U);
}

// Reads `tokens` of the same prompt into a slot, as the scheduler does.
void read_in(test::CellEngine& engine, SlotPool& pool, std::uint32_t slot, std::size_t tokens) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < tokens; ++i) {
    rows.push_back(
        {slot, static_cast<std::int32_t>(i), static_cast<std::int32_t>(i % 50), Want::kNothing});
  }
  ASSERT_EQ(engine.decode(rows).status, DecodeStatus::kOk);
  pool.holds(slot, tokens);
}

PrefixChain chain_of(std::size_t tokens, std::string_view scope) {
  PrefixChain chain{Digest::of("m"), scope};
  std::vector<std::int32_t> text;
  for (std::size_t i = 0; i < tokens; ++i) {
    text.push_back(static_cast<std::int32_t>(i % 50));
  }
  chain.extend(text);
  return chain;
}

// Forgetting a prefix that a request holds as well frees nothing: another one goes, or none.
TEST(SlotPoolTest, OnlyWhatFreesCellsMakesRoom) {
  test::CellEngine engine{1024};
  SlotPool pool{engine, 4};
  const std::uint32_t shared = *pool.take(BootTime{1});
  read_in(engine, pool, shared, 2 * kTokens);
  const std::uint32_t request = *pool.take(BootTime{1});
  ASSERT_TRUE(pool.copy(shared, request, 2 * kTokens));
  pool.keep(shared, chain_of(2 * kTokens, "p"), BootTime{1});
  const std::uint32_t alone = *pool.take(BootTime{2});
  read_in(engine, pool, alone, 3 * kTokens);
  pool.keep(alone, chain_of(3 * kTokens, "q"), BootTime{2});
  EXPECT_EQ(pool.cells(), 5 * kTokens);
  EXPECT_TRUE(pool.make_room(BootTime{3}));
  EXPECT_EQ(pool.cells(), 2 * kTokens) << "the older one would have freed nothing";
  EXPECT_FALSE(pool.make_room(BootTime{3}));
  EXPECT_EQ(pool.kept().size(), 1U);
  pool.give_back(request);
  EXPECT_TRUE(pool.make_room(BootTime{4}));
  EXPECT_EQ(pool.cells(), 0U);
  EXPECT_TRUE(engine.cells().empty());
}

}  // namespace
}  // namespace skerry::runtime
