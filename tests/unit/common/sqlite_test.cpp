#include "skerry/common/sqlite.hpp"

#include <array>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

namespace skerry::sqlite {
namespace {

constexpr std::array kFirst{
    Migration{"create", "CREATE TABLE slot(name TEXT PRIMARY KEY, generation INTEGER)"}};
constexpr std::array kSecond{
    kFirst[0], Migration{"variant", "ALTER TABLE slot ADD COLUMN variant TEXT DEFAULT 'q8_0'"}};

class SqliteTest : public ::testing::Test {
 protected:
  SqliteTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "skerry-db-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ / "test.db";
  }
  ~SqliteTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
  std::filesystem::path path_;
};

TEST_F(SqliteTest, MigratesAnOldFileAndKeepsItsRows) {
  {
    auto db = Database::open(path_, kFirst, {.application_id = 7});
    ASSERT_TRUE(db) << db.error().message();
    ASSERT_TRUE((*db)->exec("INSERT INTO slot VALUES('default', 3)"));
  }
  auto db = Database::open(path_, kSecond, {.application_id = 7});
  ASSERT_TRUE(db) << db.error().message();
  auto query = (*db)->prepare("SELECT generation, variant FROM slot WHERE name = ?");
  ASSERT_TRUE(query);
  query->bind(1, std::string_view{"default"});
  ASSERT_TRUE(*query->step());
  EXPECT_EQ(query->column_int(0), 3);
  EXPECT_EQ(query->column_text(1), "q8_0");
}

TEST_F(SqliteTest, RefusesANewerFileAndSaysWhatToDo) {
  ASSERT_TRUE(Database::open(path_, kSecond, {}));
  const auto db = Database::open(path_, kFirst, {});
  ASSERT_FALSE(db);
  EXPECT_NE(db.error().message().find("install the newer program"), std::string::npos)
      << db.error().message();
}

TEST_F(SqliteTest, RefusesAnotherApplicationsFileAndGarbage) {
  ASSERT_TRUE(Database::open(path_, kFirst, {.application_id = 7}));
  EXPECT_EQ(Database::open(path_, kFirst, {.application_id = 8}).error().code(),
            Error::Code::kDatabase);
  std::ofstream(directory_ / "garbage") << std::string(4096, 'x');
  EXPECT_EQ(Database::open(directory_ / "garbage", kFirst, {}).error().code(),
            Error::Code::kDatabase);
}

TEST_F(SqliteTest, FailedMigrationLeavesTheVersionBefore) {
  const std::array broken{
      kFirst[0], Migration{"broken", "CREATE TABLE other(x); SELECT nonsense FROM nowhere"}};
  const auto failed = Database::open(path_, broken, {});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message().find("migration 2 (broken)"), std::string::npos)
      << failed.error().message();
  auto db = Database::open(path_, kSecond, {});
  ASSERT_TRUE(db) << db.error().message();
  EXPECT_FALSE((*db)->exec("SELECT * FROM other"));
}

TEST_F(SqliteTest, TransactionRollsBackUnlessCommitted) {
  auto db = Database::open(path_, kFirst, {});
  ASSERT_TRUE(db);
  {
    auto transaction = Transaction::begin(**db);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE((*db)->exec("INSERT INTO slot VALUES('lost', 1)"));
  }
  {
    auto transaction = Transaction::begin(**db);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE((*db)->exec("INSERT INTO slot VALUES('kept', 1)"));
    ASSERT_TRUE(transaction->commit());
  }
  auto query = (*db)->prepare("SELECT group_concat(name) FROM slot");
  ASSERT_TRUE(query);
  ASSERT_TRUE(*query->step());
  EXPECT_EQ(query->column_text(0), "kept");
  EXPECT_TRUE((*db)->check_integrity());
}

TEST_F(SqliteTest, BindsEveryKindAndRunsAgainAfterReset) {
  auto db = Database::open(path_, kFirst, {});
  ASSERT_TRUE(db);
  auto echo = (*db)->prepare("SELECT ?1, ?2, ?3, ?4");
  ASSERT_TRUE(echo);
  const Bytes blob{0, 1, 255};
  echo->bind(1, std::int64_t{-5}).bind(2, 0.5).bind_blob(3, blob).bind_null(4);
  ASSERT_TRUE(*echo->step());
  EXPECT_EQ(echo->column_int(0), -5);
  EXPECT_DOUBLE_EQ(echo->column_double(1), 0.5);
  EXPECT_EQ(echo->column_blob(2), blob);
  EXPECT_TRUE(echo->column_is_null(3));
  echo->reset();
  echo->bind(1, std::string_view{""});
  ASSERT_TRUE(*echo->step());
  EXPECT_FALSE(echo->column_is_null(0));
  EXPECT_TRUE(echo->column_is_null(1));
  echo->reset();
  echo->bind(9, std::int64_t{1});
  EXPECT_FALSE(echo->step()) << "a parameter that does not exist";
}

}  // namespace
}  // namespace skerry::sqlite
