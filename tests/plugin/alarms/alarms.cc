// Alarms as a plugin.
#include "tests/plugin/alarms/alarm_machine.h"

using flotilla::test::AlarmMachine;

FLOTILLA_PLUGIN(AlarmMachine, Alarms, "1.0.0", set, setMany, tally)
