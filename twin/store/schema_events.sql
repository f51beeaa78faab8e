-- What happens in a run beside its telemetry: truth, failures, alarms, work. Schema version 3.

CREATE TABLE ground_truth (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    ts TIMESTAMP NOT NULL,
    operating_state operating_state NOT NULL,
    damage MAP(VARCHAR, FLOAT) NOT NULL,
    health FLOAT NOT NULL CHECK (health BETWEEN 0 AND 1),
    rul_h DOUBLE
);
COMMENT ON TABLE ground_truth IS 'What no sensor sees: one row whenever the hidden condition of a machine changes';
COMMENT ON COLUMN ground_truth.run_id IS 'The run, in runs';
COMMENT ON COLUMN ground_truth.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN ground_truth.ts IS 'From when the row holds, UTC';
COMMENT ON COLUMN ground_truth.operating_state IS 'What the machine is doing';
COMMENT ON COLUMN ground_truth.damage IS 'Damage of each affected failure mode, 0 (new) to 1 (functional failure)';
COMMENT ON COLUMN ground_truth.health IS 'Health, 1 (new) to 0 (functional failure)';
COMMENT ON COLUMN ground_truth.rul_h IS 'Remaining useful life, hours; NULL where no failure is coming';

CREATE TABLE failures (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    failed_at TIMESTAMP NOT NULL,
    mode VARCHAR NOT NULL,
    cause failure_cause NOT NULL
);
COMMENT ON TABLE failures IS 'Functional failures that happened in a run';
COMMENT ON COLUMN failures.run_id IS 'The run, in runs';
COMMENT ON COLUMN failures.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN failures.failed_at IS 'When, UTC';
COMMENT ON COLUMN failures.mode IS 'Name of the failure mode';
COMMENT ON COLUMN failures.cause IS 'What led to it: its own wear, an injection, or the damage of other modes';

CREATE TABLE alarms (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    ts TIMESTAMP NOT NULL,
    code VARCHAR NOT NULL,
    level alarm_level NOT NULL,
    message VARCHAR NOT NULL,
    value DOUBLE
);
COMMENT ON TABLE alarms IS 'What the control systems reported: thresholds crossed, machines tripped';
COMMENT ON COLUMN alarms.run_id IS 'The run, in runs';
COMMENT ON COLUMN alarms.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN alarms.ts IS 'When, UTC';
COMMENT ON COLUMN alarms.code IS 'Error code';
COMMENT ON COLUMN alarms.level IS 'How serious it is';
COMMENT ON COLUMN alarms.message IS 'The code in words';
COMMENT ON COLUMN alarms.value IS 'Hourly mean of the reading that raised it, in the unit of the channel';

CREATE TABLE run_machines (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    machine VARCHAR NOT NULL,
    machine_type VARCHAR NOT NULL,
    unit_seed BIGINT NOT NULL,
    downtime_cost_per_h DOUBLE NOT NULL
);
COMMENT ON TABLE run_machines IS 'The machines of a run as they were then; a run may have more than the plant';
COMMENT ON COLUMN run_machines.run_id IS 'The run, in runs';
COMMENT ON COLUMN run_machines.machine_id IS 'The machine; in machines unless the run has a larger fleet';
COMMENT ON COLUMN run_machines.machine IS 'Name of the machine';
COMMENT ON COLUMN run_machines.machine_type IS 'Name of its type, in machine_types';
COMMENT ON COLUMN run_machines.unit_seed IS 'Seed of the differences between this unit and its type';
COMMENT ON COLUMN run_machines.downtime_cost_per_h IS 'Cost of an hour of standstill, in the currency of the plant';

CREATE TABLE work_orders (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    number INTEGER NOT NULL,
    task_id INTEGER,
    origin task_origin NOT NULL,
    rule INTEGER,
    task_type task_type NOT NULL,
    action VARCHAR NOT NULL,
    failure_mode VARCHAR,
    raised_at TIMESTAMP NOT NULL,
    due_at TIMESTAMP NOT NULL,
    duration_min DOUBLE NOT NULL,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    priority task_priority NOT NULL,
    status task_status NOT NULL,
    technician_id VARCHAR
);
COMMENT ON TABLE work_orders IS 'All maintenance tasks of a run: those that people planned, and those that were raised in it';
COMMENT ON COLUMN work_orders.run_id IS 'The run, in runs';
COMMENT ON COLUMN work_orders.machine_id IS 'The machine';
COMMENT ON COLUMN work_orders.number IS 'The how-manieth task of this machine in this run';
COMMENT ON COLUMN work_orders.task_id IS 'The task that it carries out, in maintenance_tasks; NULL where it was raised in the run';
COMMENT ON COLUMN work_orders.origin IS 'Who asked for it: people, a failure, or which kind of rule';
COMMENT ON COLUMN work_orders.rule IS 'Position of the rule in the policy of the run, from 0; NULL where none asked';
COMMENT ON COLUMN work_orders.task_type IS 'Why: before a failure, after it, or on a prediction';
COMMENT ON COLUMN work_orders.action IS 'What is to be done, in maintenance_actions';
COMMENT ON COLUMN work_orders.failure_mode IS 'The failure that it repairs; NULL where there was none';
COMMENT ON COLUMN work_orders.raised_at IS 'When it was asked for, UTC';
COMMENT ON COLUMN work_orders.due_at IS 'When it should begin, UTC';
COMMENT ON COLUMN work_orders.duration_min IS 'Working time, min';
COMMENT ON COLUMN work_orders.started_at IS 'When it began, UTC; NULL while it has not';
COMMENT ON COLUMN work_orders.ended_at IS 'When it was done, UTC; NULL while it is not';
COMMENT ON COLUMN work_orders.priority IS 'How urgent it is';
COMMENT ON COLUMN work_orders.status IS 'How far it was at the end of the run';
COMMENT ON COLUMN work_orders.technician_id IS 'Who did it, or is to, in technicians; NULL for anybody';

CREATE TABLE lives (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    mode VARCHAR NOT NULL,
    renewal INTEGER NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NOT NULL,
    start_h DOUBLE NOT NULL,
    stop_h DOUBLE NOT NULL,
    event BOOLEAN NOT NULL,
    cause life_end NOT NULL
);
COMMENT ON TABLE lives IS 'The lives of parts, one row for each machine, failure mode and renewal: truth that no sensor sees';
COMMENT ON COLUMN lives.run_id IS 'The run, in runs';
COMMENT ON COLUMN lives.machine_id IS 'The machine';
COMMENT ON COLUMN lives.mode IS 'Name of the failure mode';
COMMENT ON COLUMN lives.renewal IS 'How often the part was renewed before, from 0';
COMMENT ON COLUMN lives.started_at IS 'When the life began in this run, UTC';
COMMENT ON COLUMN lives.ended_at IS 'When it ended, or ceased to be observed, UTC';
COMMENT ON COLUMN lives.start_h IS 'Age when it began, effective hours: above 0 for a used part or after an imperfect repair';
COMMENT ON COLUMN lives.stop_h IS 'Age when it ended, effective hours';
COMMENT ON COLUMN lives.event IS 'Whether it ended in the failure of this mode; else it is censored';
COMMENT ON COLUMN lives.cause IS 'How it ended: own wear, damage of other modes, a repair before the failure, or the end of the run';

CREATE TABLE maintenance_log (
    run_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    start_at TIMESTAMP NOT NULL,
    end_at TIMESTAMP NOT NULL,
    number INTEGER NOT NULL,
    task_id INTEGER,
    task_type task_type NOT NULL,
    action VARCHAR NOT NULL,
    technician_id VARCHAR,
    labour_cost DOUBLE NOT NULL CHECK (labour_cost >= 0),
    parts_cost DOUBLE NOT NULL CHECK (parts_cost >= 0),
    downtime_cost DOUBLE NOT NULL CHECK (downtime_cost >= 0),
    cost DOUBLE NOT NULL CHECK (cost >= 0),
    notes VARCHAR NOT NULL
);
COMMENT ON TABLE maintenance_log IS 'Work that was done in a run';
COMMENT ON COLUMN maintenance_log.run_id IS 'The run, in runs';
COMMENT ON COLUMN maintenance_log.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN maintenance_log.start_at IS 'When the work began, UTC';
COMMENT ON COLUMN maintenance_log.end_at IS 'When the machine was back, UTC';
COMMENT ON COLUMN maintenance_log.number IS 'The task, in work_orders (with run and machine)';
COMMENT ON COLUMN maintenance_log.task_id IS 'The task, in maintenance_tasks; NULL for work that was raised in the run';
COMMENT ON COLUMN maintenance_log.task_type IS 'Why: before a failure, after it, or on a prediction';
COMMENT ON COLUMN maintenance_log.action IS 'What was done, in maintenance_actions';
COMMENT ON COLUMN maintenance_log.technician_id IS 'Who did it, in technicians; NULL when not known';
COMMENT ON COLUMN maintenance_log.labour_cost IS 'Cost of the working time, in the currency of the plant';
COMMENT ON COLUMN maintenance_log.parts_cost IS 'Cost of parts';
COMMENT ON COLUMN maintenance_log.downtime_cost IS 'Cost of the standstill from the failure, or from the beginning of the work, to its end';
COMMENT ON COLUMN maintenance_log.cost IS 'Sum of the three';
COMMENT ON COLUMN maintenance_log.notes IS 'What else is to be known';

CREATE TABLE session_commands (
    run_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    tick BIGINT NOT NULL,
    ts TIMESTAMP NOT NULL,
    verb VARCHAR NOT NULL,
    arguments JSON NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('done', 'refused')),
    message VARCHAR NOT NULL
);
COMMENT ON TABLE session_commands IS 'What people did in a live session, click by click; the plan of the run holds what came of it';
COMMENT ON COLUMN session_commands.run_id IS 'The run, in runs';
COMMENT ON COLUMN session_commands.number IS 'The how-manieth command of the session';
COMMENT ON COLUMN session_commands.tick IS 'The first tick that it can have changed';
COMMENT ON COLUMN session_commands.ts IS 'Time of that tick, UTC';
COMMENT ON COLUMN session_commands.verb IS 'What was asked: inject, clear, activate, deactivate, schedule, begin, complete, cancel, play, pause, ...';
COMMENT ON COLUMN session_commands.arguments IS 'With what: names, severities, times';
COMMENT ON COLUMN session_commands.status IS 'Whether it was done or refused';
COMMENT ON COLUMN session_commands.message IS 'What came of it, in one line';
