// The plugin starter as it will run: on three hosts within this process, one of which is killed.
#include <flotilla/expect.h>
#include <sdk/testing/cluster.h>

#include "starter.capnp.h"

using flotilla::testing::Cluster;
using flotilla::testing::expect;

int main() {
  Cluster cluster;  // the plugin is pushed to it
  Starter::Client starter = cluster.create<Starter>("g");
  auto add = [&](const char* name, int64_t by) {
    auto request = starter.addRequest();
    request.setName(name);
    request.setBy(by);
    return cluster.wait(request.send()).getValue();
  };
  auto read = [&](const char* name) {
    auto request = starter.readRequest();
    request.setName(name);
    return cluster.wait(request.send()).getValue();
  };

  expect(add("apples", 3) == 3);
  uint64_t leader = cluster.leader("g");
  cluster.kill(leader);  // another one leads, and nothing is lost
  expect(add("apples", 2) == 5);
  cluster.snapshot("g");

  cluster.restart(leader);
  cluster.agree("g");  // all hosts have come to the same
  expect(read("apples") == 5);
}
