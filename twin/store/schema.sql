-- The tables of a plant, schema version 3.
--
-- Times are UTC without a zone. Names that people give are unique in their table. References are
-- declared in tables.py and checked by the transaction that changes a row, not by FOREIGN KEY:
-- DuckDB checks those against committed rows only, so that a child and its parent cannot be deleted
-- in one transaction, and a machine that anything refers to could not be renamed.

CREATE TYPE failure_category AS ENUM ('mechanical', 'thermal', 'electrical', 'sensor');
CREATE TYPE severity AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TYPE progression AS ENUM ('step', 'progressive');
CREATE TYPE task_type AS ENUM ('preventive', 'corrective', 'predictive');
CREATE TYPE task_priority AS ENUM ('low', 'medium', 'high', 'critical');
CREATE TYPE task_status AS ENUM ('planned', 'in_progress', 'done', 'cancelled', 'overdue');
CREATE TYPE run_status AS ENUM ('running', 'interrupted', 'failed', 'complete');
CREATE TYPE operating_state AS ENUM ('off', 'idle', 'running', 'failed', 'maintenance');
CREATE TYPE interpolation AS ENUM ('hold', 'linear');
CREATE TYPE profile_end AS ENUM ('repeat', 'end');
CREATE TYPE alarm_level AS ENUM ('info', 'warning', 'alarm');
CREATE TYPE failure_cause AS ENUM ('wear', 'injected', 'secondary');
CREATE TYPE life_end AS ENUM ('wear', 'secondary', 'repair', 'end');
CREATE TYPE task_origin AS ENUM ('planned', 'corrective', 'periodic', 'running', 'condition', 'callable');

CREATE TABLE plant_info (
    key VARCHAR PRIMARY KEY,
    value VARCHAR NOT NULL
);
COMMENT ON TABLE plant_info IS 'Facts about the file itself, such as the version of its schema';
COMMENT ON COLUMN plant_info.key IS 'Name of the fact';
COMMENT ON COLUMN plant_info.value IS 'The fact, as text';

CREATE TABLE channels (
    name VARCHAR PRIMARY KEY,
    unit VARCHAR NOT NULL,
    counts_per_unit INTEGER NOT NULL CHECK (counts_per_unit > 0),
    noise_sd DOUBLE NOT NULL CHECK (noise_sd >= 0),
    noise_fraction DOUBLE NOT NULL CHECK (noise_fraction >= 0),
    low DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    description VARCHAR NOT NULL,
    CHECK (low < high)
);
COMMENT ON TABLE channels IS 'The sensors that every machine has: one row for each measured column of telemetry';
COMMENT ON COLUMN channels.name IS 'Name of the column in telemetry';
COMMENT ON COLUMN channels.unit IS 'Unit of the readings';
COMMENT ON COLUMN channels.counts_per_unit IS 'Steps per unit: readings are stored in steps of 1 / counts_per_unit';
COMMENT ON COLUMN channels.noise_sd IS 'Standard deviation of the instrument noise, in the unit';
COMMENT ON COLUMN channels.noise_fraction IS 'Part of the noise that grows with the reading, as a fraction of it';
COMMENT ON COLUMN channels.low IS 'Lowest reading of the instrument, in the unit';
COMMENT ON COLUMN channels.high IS 'Highest reading of the instrument, in the unit';
COMMENT ON COLUMN channels.description IS 'What the instrument measures';

CREATE TABLE machine_types (
    name VARCHAR PRIMARY KEY,
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    definition JSON NOT NULL
);
COMMENT ON TABLE machine_types IS 'Kinds of machines, as their makers describe them';
COMMENT ON COLUMN machine_types.name IS 'Name of the type';
COMMENT ON COLUMN machine_types.title IS 'Name for people';
COMMENT ON COLUMN machine_types.description IS 'What machines of this type are';
COMMENT ON COLUMN machine_types.definition IS 'All parameters of the type, checked: power, speed, thermal nodes, bearing, variation';

CREATE TABLE machines (
    machine_id SMALLINT PRIMARY KEY CHECK (machine_id > 0),
    name VARCHAR NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 80),
    machine_type VARCHAR NOT NULL,
    unit_seed BIGINT NOT NULL CHECK (unit_seed >= 0),
    location VARCHAR NOT NULL DEFAULT '',
    description VARCHAR NOT NULL DEFAULT '',
    commissioned_at TIMESTAMP
);
COMMENT ON TABLE machines IS 'The machines of the plant';
COMMENT ON COLUMN machines.machine_id IS 'Number of the machine; also its address in the noise';
COMMENT ON COLUMN machines.name IS 'What people call the machine, for example M-001';
COMMENT ON COLUMN machines.machine_type IS 'Name of its type, in machine_types';
COMMENT ON COLUMN machines.unit_seed IS 'Seed of the differences between this unit and its type';
COMMENT ON COLUMN machines.location IS 'Where it stands';
COMMENT ON COLUMN machines.description IS 'What it does there';
COMMENT ON COLUMN machines.commissioned_at IS 'When it was put to work, UTC; NULL when not known';

CREATE TABLE profiles (
    profile_id VARCHAR PRIMARY KEY CHECK (length(profile_id) = 64),
    name VARCHAR NOT NULL,
    interpolation interpolation NOT NULL,
    at_end profile_end NOT NULL,
    period_s DOUBLE NOT NULL CHECK (period_s > 0),
    points INTEGER NOT NULL CHECK (points > 0),
    created_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE profiles IS 'Recorded inputs that scenarios follow';
COMMENT ON COLUMN profiles.profile_id IS 'SHA-256 of the content: equal data, equal id';
COMMENT ON COLUMN profiles.name IS 'Where the recording comes from';
COMMENT ON COLUMN profiles.interpolation IS 'Whether a value holds until the next point or straight lines join the points';
COMMENT ON COLUMN profiles.at_end IS 'Whether the profile repeats or ends after its period';
COMMENT ON COLUMN profiles.period_s IS 'Length of the profile, s';
COMMENT ON COLUMN profiles.points IS 'Number of points in time';
COMMENT ON COLUMN profiles.created_at IS 'When it was stored, UTC';

CREATE TABLE profile_points (
    profile_id VARCHAR NOT NULL,
    seq INTEGER NOT NULL,
    t_s DOUBLE NOT NULL,
    load DOUBLE,
    speed_rpm DOUBLE,
    speed_factor DOUBLE,
    ambient_c DOUBLE
);
COMMENT ON TABLE profile_points IS 'The points of the profiles; a column is NULL throughout a profile that does not drive it';
COMMENT ON COLUMN profile_points.profile_id IS 'The profile, in profiles';
COMMENT ON COLUMN profile_points.seq IS 'Position of the point, from 0';
COMMENT ON COLUMN profile_points.t_s IS 'Time since the start of the profile, s';
COMMENT ON COLUMN profile_points.load IS 'Demanded torque as a fraction of the rated torque';
COMMENT ON COLUMN profile_points.speed_rpm IS 'Demanded speed, rpm';
COMMENT ON COLUMN profile_points.speed_factor IS 'Demanded speed as a fraction of the rated speed';
COMMENT ON COLUMN profile_points.ambient_c IS 'Temperature of the air around the machine, C';

CREATE TABLE scenarios (
    scenario_id INTEGER PRIMARY KEY CHECK (scenario_id > 0),
    name VARCHAR NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 80),
    description VARCHAR NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 10 CHECK (priority BETWEEN 0 AND 100),
    builtin BOOLEAN NOT NULL DEFAULT false,
    definition JSON NOT NULL,
    profile_id VARCHAR
);
COMMENT ON TABLE scenarios IS 'What machines can be asked to do';
COMMENT ON COLUMN scenarios.scenario_id IS 'Number of the scenario';
COMMENT ON COLUMN scenarios.name IS 'What people call it';
COMMENT ON COLUMN scenarios.description IS 'What it means';
COMMENT ON COLUMN scenarios.priority IS 'Where active scenarios set the same input, the highest priority wins; 0 to 100';
COMMENT ON COLUMN scenarios.builtin IS 'Whether it came with the package';
COMMENT ON COLUMN scenarios.definition IS 'The checked scenario with its effects';
COMMENT ON COLUMN scenarios.profile_id IS 'The recording that it follows, in profiles; NULL when none';

CREATE TABLE scenario_activations (
    activation_id INTEGER PRIMARY KEY CHECK (activation_id > 0),
    scenario_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    start_at TIMESTAMP NOT NULL,
    end_at TIMESTAMP,
    CHECK (end_at IS NULL OR end_at > start_at)
);
COMMENT ON TABLE scenario_activations IS 'When which scenario is active on which machine';
COMMENT ON COLUMN scenario_activations.activation_id IS 'Number of the activation';
COMMENT ON COLUMN scenario_activations.scenario_id IS 'The scenario, in scenarios';
COMMENT ON COLUMN scenario_activations.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN scenario_activations.start_at IS 'From when, UTC';
COMMENT ON COLUMN scenario_activations.end_at IS 'Until when (not included), UTC; NULL while open-ended';

CREATE TABLE failure_modes (
    failure_mode_id INTEGER PRIMARY KEY CHECK (failure_mode_id > 0),
    name VARCHAR NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 80),
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL DEFAULT '',
    category failure_category NOT NULL,
    builtin BOOLEAN NOT NULL DEFAULT false,
    definition JSON NOT NULL
);
COMMENT ON TABLE failure_modes IS 'Ways in which machines and instruments fail';
COMMENT ON COLUMN failure_modes.failure_mode_id IS 'Number of the failure mode';
COMMENT ON COLUMN failure_modes.name IS 'Name of the failure mode';
COMMENT ON COLUMN failure_modes.title IS 'Name for people';
COMMENT ON COLUMN failure_modes.description IS 'What happens';
COMMENT ON COLUMN failure_modes.category IS 'What kind of part it concerns';
COMMENT ON COLUMN failure_modes.builtin IS 'Whether it came with the package';
COMMENT ON COLUMN failure_modes.definition IS 'The checked failure mode with its effects';

CREATE TABLE failure_injections (
    injection_id INTEGER PRIMARY KEY CHECK (injection_id > 0),
    failure_mode_id INTEGER NOT NULL,
    machine_id SMALLINT NOT NULL,
    severity severity NOT NULL,
    level DOUBLE NOT NULL CHECK (level > 0 AND level <= 1),
    progression progression NOT NULL DEFAULT 'step',
    time_to_failure_h DOUBLE CHECK (time_to_failure_h > 0),
    start_at TIMESTAMP NOT NULL,
    end_at TIMESTAMP,
    CHECK (end_at IS NULL OR end_at > start_at)
);
COMMENT ON TABLE failure_injections IS 'Failures that were put into machines on purpose';
COMMENT ON COLUMN failure_injections.injection_id IS 'Number of the injection';
COMMENT ON COLUMN failure_injections.failure_mode_id IS 'The failure mode, in failure_modes';
COMMENT ON COLUMN failure_injections.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN failure_injections.severity IS 'How bad, in words';
COMMENT ON COLUMN failure_injections.level IS 'How bad, as damage from 0 (new) to 1 (functional failure)';
COMMENT ON COLUMN failure_injections.progression IS 'Whether the damage holds its level or grows';
COMMENT ON COLUMN failure_injections.time_to_failure_h IS 'Hours until functional failure, for progressive damage; NULL otherwise';
COMMENT ON COLUMN failure_injections.start_at IS 'From when, UTC';
COMMENT ON COLUMN failure_injections.end_at IS 'Until when (not included), UTC; NULL until it is cleared';

CREATE TABLE maintenance_actions (
    name VARCHAR PRIMARY KEY,
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    duration_min DOUBLE NOT NULL CHECK (duration_min > 0),
    parts_cost DOUBLE NOT NULL CHECK (parts_cost >= 0),
    skill VARCHAR NOT NULL,
    definition JSON NOT NULL
);
COMMENT ON TABLE maintenance_actions IS 'What technicians can do to a machine';
COMMENT ON COLUMN maintenance_actions.name IS 'Name of the action';
COMMENT ON COLUMN maintenance_actions.title IS 'Name for people';
COMMENT ON COLUMN maintenance_actions.description IS 'What is done';
COMMENT ON COLUMN maintenance_actions.duration_min IS 'Usual working time, min';
COMMENT ON COLUMN maintenance_actions.parts_cost IS 'Usual cost of parts, in the currency of the plant';
COMMENT ON COLUMN maintenance_actions.skill IS 'What the technician must know';
COMMENT ON COLUMN maintenance_actions.definition IS 'The checked action with the failure modes that it restores';

CREATE TABLE technicians (
    technician_id VARCHAR PRIMARY KEY CHECK (length(technician_id) BETWEEN 1 AND 80),
    name VARCHAR NOT NULL,
    skills VARCHAR[] NOT NULL,
    hourly_cost DOUBLE NOT NULL CHECK (hourly_cost >= 0),
    shift_start_h DOUBLE DEFAULT 0,
    shift_end_h DOUBLE DEFAULT 24,
    weekdays VARCHAR DEFAULT '1234567'
);
COMMENT ON TABLE technicians IS 'The people who maintain the machines';
COMMENT ON COLUMN technicians.technician_id IS 'Short name of the technician, for example T-02';
COMMENT ON COLUMN technicians.name IS 'What people call the technician';
COMMENT ON COLUMN technicians.skills IS 'What the technician knows';
COMMENT ON COLUMN technicians.hourly_cost IS 'Cost of an hour of work, in the currency of the plant';
COMMENT ON COLUMN technicians.shift_start_h IS 'Hour of the day (UTC) from which work may begin';
COMMENT ON COLUMN technicians.shift_end_h IS 'Hour of the day (UTC) up to which work may begin';
COMMENT ON COLUMN technicians.weekdays IS 'Days on which work may begin, 1 (Monday) to 7 (Sunday)';

CREATE TABLE alarm_rules (
    name VARCHAR PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 80),
    title VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    level alarm_level NOT NULL,
    definition JSON NOT NULL
);
COMMENT ON TABLE alarm_rules IS 'What the control system of every machine watches';
COMMENT ON COLUMN alarm_rules.name IS 'Code of the alarm';
COMMENT ON COLUMN alarm_rules.title IS 'Name for people';
COMMENT ON COLUMN alarm_rules.description IS 'What it means';
COMMENT ON COLUMN alarm_rules.channel IS 'The channel that is watched, in channels';
COMMENT ON COLUMN alarm_rules.level IS 'How serious it is';
COMMENT ON COLUMN alarm_rules.definition IS 'The checked rule: limit, hysteresis, trip';

CREATE TABLE maintenance_tasks (
    task_id INTEGER PRIMARY KEY CHECK (task_id > 0),
    machine_id SMALLINT NOT NULL,
    task_type task_type NOT NULL,
    action VARCHAR NOT NULL,
    scheduled_at TIMESTAMP NOT NULL,
    duration_min DOUBLE NOT NULL CHECK (duration_min > 0),
    priority task_priority NOT NULL DEFAULT 'medium',
    status task_status NOT NULL DEFAULT 'planned',
    technician_id VARCHAR,
    cost DOUBLE NOT NULL DEFAULT 0 CHECK (cost >= 0),
    notes VARCHAR NOT NULL DEFAULT '',
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE maintenance_tasks IS 'Work that is planned, under way or done';
COMMENT ON COLUMN maintenance_tasks.task_id IS 'Number of the task';
COMMENT ON COLUMN maintenance_tasks.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN maintenance_tasks.task_type IS 'Why: before a failure, after it, or on a prediction';
COMMENT ON COLUMN maintenance_tasks.action IS 'What is to be done, in maintenance_actions';
COMMENT ON COLUMN maintenance_tasks.scheduled_at IS 'When the work is to begin, UTC';
COMMENT ON COLUMN maintenance_tasks.duration_min IS 'Planned working time, min';
COMMENT ON COLUMN maintenance_tasks.priority IS 'How urgent it is';
COMMENT ON COLUMN maintenance_tasks.status IS 'How far it is';
COMMENT ON COLUMN maintenance_tasks.technician_id IS 'Who does it, in technicians; NULL while not assigned';
COMMENT ON COLUMN maintenance_tasks.cost IS 'Planned cost, in the currency of the plant';
COMMENT ON COLUMN maintenance_tasks.notes IS 'What else is to be known';
COMMENT ON COLUMN maintenance_tasks.created_at IS 'When the row was entered, UTC';
COMMENT ON COLUMN maintenance_tasks.updated_at IS 'When the row was last changed, UTC';

CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY CHECK (run_id > 0),
    name VARCHAR NOT NULL DEFAULT '',
    plan JSON NOT NULL,
    plan_sha256 VARCHAR NOT NULL CHECK (length(plan_sha256) = 64),
    seed BIGINT NOT NULL CHECK (seed >= 0),
    start_at TIMESTAMP NOT NULL,
    end_at TIMESTAMP NOT NULL,
    interval_us BIGINT NOT NULL CHECK (interval_us > 0),
    machines INTEGER NOT NULL CHECK (machines > 0),
    ticks BIGINT NOT NULL CHECK (ticks > 0),
    committed_ticks BIGINT NOT NULL DEFAULT 0,
    rows BIGINT NOT NULL,
    committed_rows BIGINT NOT NULL DEFAULT 0,
    status run_status NOT NULL,
    digest VARCHAR,
    wall_s DOUBLE,
    versions JSON NOT NULL,
    writer_pid BIGINT,
    writer_started DOUBLE,
    writer_host VARCHAR,
    created_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    error VARCHAR,
    telemetry BOOLEAN DEFAULT true,
    policy VARCHAR DEFAULT 'none',
    world_sha256 VARCHAR,
    base_run_id INTEGER,
    events_digest VARCHAR,
    live BOOLEAN DEFAULT false,
    CHECK (end_at > start_at),
    CHECK (committed_ticks BETWEEN 0 AND ticks)
);
COMMENT ON TABLE runs IS 'Simulations: what was asked, how far it came, and how to check it';
COMMENT ON COLUMN runs.run_id IS 'Number of the run';
COMMENT ON COLUMN runs.name IS 'What people call the run; may be empty';
COMMENT ON COLUMN runs.plan IS 'The whole plan, from which the run can be repeated';
COMMENT ON COLUMN runs.plan_sha256 IS 'SHA-256 of the plan: equal plans, equal telemetry';
COMMENT ON COLUMN runs.seed IS 'Seed of all noise';
COMMENT ON COLUMN runs.start_at IS 'Time of the first tick, UTC';
COMMENT ON COLUMN runs.end_at IS 'End of the span (not included), UTC';
COMMENT ON COLUMN runs.interval_us IS 'Time between ticks, microseconds';
COMMENT ON COLUMN runs.machines IS 'Number of machines';
COMMENT ON COLUMN runs.ticks IS 'Number of ticks of each machine when complete';
COMMENT ON COLUMN runs.committed_ticks IS 'Number of ticks that are stored';
COMMENT ON COLUMN runs.rows IS 'Number of telemetry rows when complete';
COMMENT ON COLUMN runs.committed_rows IS 'Number of telemetry rows that are stored';
COMMENT ON COLUMN runs.status IS 'How far the run is';
COMMENT ON COLUMN runs.digest IS 'Content hash of the telemetry; NULL until complete';
COMMENT ON COLUMN runs.wall_s IS 'Time that the simulation took, s';
COMMENT ON COLUMN runs.versions IS 'Versions of the software that made the run';
COMMENT ON COLUMN runs.writer_pid IS 'Process that writes the run; NULL when none';
COMMENT ON COLUMN runs.writer_started IS 'When that process began, seconds since 1970';
COMMENT ON COLUMN runs.writer_host IS 'Host of that process';
COMMENT ON COLUMN runs.created_at IS 'When the run was asked for, UTC';
COMMENT ON COLUMN runs.finished_at IS 'When it ended, UTC';
COMMENT ON COLUMN runs.error IS 'Why it failed or was interrupted; NULL otherwise';
COMMENT ON COLUMN runs.telemetry IS 'Whether the run has readings, or events and truth only';
COMMENT ON COLUMN runs.policy IS 'The maintenance policy in words';
COMMENT ON COLUMN runs.world_sha256 IS 'SHA-256 of what paired runs share: fleet, span, seed and conditions';
COMMENT ON COLUMN runs.base_run_id IS 'Of a what-if: the run that it departs from, in runs; NULL otherwise';
COMMENT ON COLUMN runs.events_digest IS 'Content hash of failures, work and lives; NULL until complete';
COMMENT ON COLUMN runs.live IS 'Whether people drove it while it ran: what they did is in session_commands';

CREATE TABLE run_states (
    run_id INTEGER PRIMARY KEY,
    tick BIGINT NOT NULL,
    state BLOB NOT NULL,
    digest VARCHAR NOT NULL
);
COMMENT ON TABLE run_states IS 'Where an unfinished run stands, so that it can go on';
COMMENT ON COLUMN run_states.run_id IS 'The run, in runs';
COMMENT ON COLUMN run_states.tick IS 'Number of ticks behind the state';
COMMENT ON COLUMN run_states.state IS 'State of the simulation after those ticks';
COMMENT ON COLUMN run_states.digest IS 'State of the digest after those ticks';

CREATE TABLE telemetry (
    run_id INTEGER,
    machine_id SMALLINT,
    ts TIMESTAMP,
    temperature_c FLOAT,
    vibration_g FLOAT,
    vibration_mm_s FLOAT,
    kurtosis FLOAT,
    power_w FLOAT,
    current_a FLOAT,
    speed_rpm FLOAT,
    torque_nm FLOAT
);
COMMENT ON TABLE telemetry IS 'What the sensors report; NULL where a reading is missing';
COMMENT ON COLUMN telemetry.run_id IS 'The run, in runs';
COMMENT ON COLUMN telemetry.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN telemetry.ts IS 'Time of the reading, UTC';
COMMENT ON COLUMN telemetry.temperature_c IS 'Temperature of the housing, C';
COMMENT ON COLUMN telemetry.vibration_g IS 'Vibration: RMS of the acceleration, g';
COMMENT ON COLUMN telemetry.vibration_mm_s IS 'Vibration: RMS of the velocity (10 to 1000 Hz), mm/s';
COMMENT ON COLUMN telemetry.kurtosis IS 'Kurtosis of the acceleration, 3 for a healthy bearing, no unit';
COMMENT ON COLUMN telemetry.power_w IS 'Electrical power, W';
COMMENT ON COLUMN telemetry.current_a IS 'Supply current, A';
COMMENT ON COLUMN telemetry.speed_rpm IS 'Speed of the shaft, rpm';
COMMENT ON COLUMN telemetry.torque_nm IS 'Torque at the shaft, N m';
